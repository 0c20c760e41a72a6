// SPDX-License-Identifier: Apache-2.0

package main

// The ways of zlib, GNU gzip and Chromium's zlib: greedy, lazy, or without matches worth the name.

// longest walks the chain for a match longer than prevLength; the place is left in matchStart.
func (e *engine) longest(candidate int) int {
	at, best := e.start, e.prevLength
	limit := max(at-e.reach, 0)
	chain := int(e.r.chain)
	if best >= int(e.r.good) {
		chain >>= 2
	}
	nice := min(int(e.r.nice), e.ahead)
	win, prev, mask := &e.win, &e.prev, e.mask&(windowMax-1)
	head, tail := load2(win, at), load2(win, at+best-1)
	for {
		if load2(win, candidate+best-1) == tail && load2(win, candidate) == head {
			if n := e.common(at, candidate); n > best {
				e.matchStart, best = candidate, n
				if n >= nice {
					break
				}
				tail = load2(win, at+best-1)
			}
		}
		candidate = int(prev[candidate&mask])
		if chain--; candidate <= limit || chain <= 0 {
			break
		}
	}
	return min(best, e.ahead)
}

// runFast takes the first good match.
func (e *engine) runFast(flush int) {
	for {
		if more, done := e.lookahead(flush); !more {
			if done {
				e.finish()
			}
			return
		}
		head, length := 0, 0
		if e.ahead >= minMatch {
			head = e.add(e.start)
		}
		if head != 0 && e.start-head <= e.reach {
			e.prevLength = minMatch - 1
			length = e.longest(head)
		}
		predicted := token(e.win[e.start])
		if length >= minMatch {
			predicted = matchToken(length, e.start-e.matchStart)
		}
		t := e.guide.token(e, predicted)
		if e.stopped() {
			return
		}
		length = t.length()
		end := e.full(t, e.start)
		e.ahead -= length
		if t.isMatch() && length <= int(e.r.lazy) && e.ahead >= minMatch {
			for k := 1; k < length; k++ {
				e.add(e.start + k)
			}
		}
		e.start += length
		if e.guide.boundary(end) && !e.flushBlock() {
			return
		}
	}
}

// runSlow keeps a match back until it has seen that the next byte has no longer one.
func (e *engine) runSlow(flush int) {
	for {
		if more, done := e.lookahead(flush); !more {
			if done {
				e.lastLiteral()
				e.finish()
			}
			return
		}
		head := 0
		if e.ahead >= minMatch {
			head = e.add(e.start)
		}
		e.prevLength, e.prevMatch = e.matchLength, e.matchStart
		e.matchLength = minMatch - 1
		if head != 0 && e.prevLength < int(e.r.lazy) && e.start-head <= e.reach {
			e.matchLength = e.longest(head)
			if e.matchLength <= int(e.r.weak) || e.matchLength == minMatch && e.start-e.matchStart > int(e.r.tooFar) {
				e.matchLength = minMatch - 1
			}
		}
		if !e.available {
			e.available = true
			e.start++
			e.ahead--
			continue
		}
		predicted := token(e.win[e.start-1])
		if e.prevLength >= minMatch && e.matchLength <= e.prevLength {
			predicted = matchToken(e.prevLength, e.start-1-e.prevMatch)
		}
		if !e.settleSlow(e.guide.token(e, predicted)) {
			return
		}
	}
}

// settleSlow goes on from what was really written for the byte before start.
func (e *engine) settleSlow(t token) bool {
	if e.stopped() {
		return false
	}
	end := e.full(t, e.start)
	if !t.isMatch() {
		if e.guide.boundary(end) {
			e.flushBlock()
		}
		e.start++
		e.ahead--
		return e.room > 0 && !e.stopped()
	}
	rest := t.length() - 2
	last := e.start + e.ahead - minMatch
	for k := 1; k <= rest && e.start+k <= last; k++ {
		e.add(e.start + k)
	}
	e.start += rest + 1
	e.ahead -= rest + 1
	e.available = false
	e.matchLength = minMatch - 1
	return !e.guide.boundary(end) || e.flushBlock()
}

// lastLiteral writes the byte that was kept back when the data ends.
func (e *engine) lastLiteral() {
	if !e.available {
		return
	}
	e.available = false
	t := e.guide.token(e, token(e.win[e.start-1]))
	if t.isMatch() {
		e.fail(errMalformed)
		return
	}
	e.full(t, e.start)
	if e.guide.boundary(false) {
		e.flushBlock()
	}
}

// runBytes writes literals only: Z_HUFFMAN_ONLY, and stored streams.
func (e *engine) runBytes(flush int) {
	for {
		if e.ahead == 0 {
			if e.fill(); e.ahead == 0 || e.stopped() {
				if flush != flushNone && !e.stopped() {
					e.finish()
				}
				return
			}
		}
		t := e.guide.token(e, token(e.win[e.start]))
		if e.stopped() {
			return
		}
		end := e.full(t, e.start+1)
		e.start += t.length()
		e.ahead -= t.length()
		if e.guide.boundary(end) && !e.flushBlock() {
			return
		}
	}
}

// runRuns writes repeats of the byte before, nothing else.
func (e *engine) runRuns(flush int) {
	for {
		if more, done := e.lookahead(flush); !more {
			if done {
				e.finish()
			}
			return
		}
		predicted := token(e.win[e.start])
		if e.ahead >= minMatch && e.start > 0 {
			if n := min(e.common(e.start, e.start-1), e.ahead); n >= minMatch {
				predicted = matchToken(n, 1)
			}
		}
		t := e.guide.token(e, predicted)
		if e.stopped() {
			return
		}
		end := e.full(t, e.start)
		e.start += t.length()
		e.ahead -= t.length()
		if e.guide.boundary(end) && !e.flushBlock() {
			return
		}
	}
}
