// SPDX-License-Identifier: Apache-2.0

package main

// zlib-ng's and zlib-rs's other levels: 1, 2 and 7 to 9.

// runBrisk is zlib-ng's level 2: the first match found.
func (e *engine) runBrisk(flush int) {
	for {
		if more, done := e.lookahead(flush); !more {
			if done {
				e.finish()
			}
			return
		}
		predicted := token(e.win[e.start])
		if e.ahead >= wantMatch {
			if head := e.addOnce(e.start); e.near(head) {
				var n int
				if n, e.matchStart = e.longestNG(head); n >= wantMatch {
					predicted = matchToken(n, e.start-e.matchStart)
				}
			}
		}
		t := e.guide.token(e, predicted)
		if e.stopped() {
			return
		}
		end := e.full(t, e.start)
		n := t.length()
		e.ahead -= n
		if t.isMatch() && n <= int(e.r.lazy) && e.ahead >= wantMatch {
			e.addRange(e.start+1, n-1)
		} else if t.isMatch() {
			e.addOnce(e.start + n - 1)
		}
		e.start += n
		if e.guide.boundary(end) && !e.flushBlock() {
			return
		}
	}
}

// runQuick is zlib-ng's level 1: the head of the chain or nothing, and blocks that end only with a flush.
func (e *engine) runQuick(flush int) {
	asked := false
	if flush == flushFinish {
		if e.blockOpen == 1 && e.tokens > 0 {
			if asked = true; e.guide.boundary(true) && !e.flushBlock() {
				return
			}
		}
		e.blockOpen = 2
	}
	for {
		if more, done := e.lookahead(flush); !more {
			if done {
				e.finish()
				e.blockOpen = 0
			}
			return
		}
		if e.blockOpen == 0 {
			e.blockOpen = 1
		}
		predicted := token(e.win[e.start])
		if e.ahead >= wantMatch {
			head := e.addOnce(e.start)
			if head < e.start && e.start-head <= e.reach && e.load4(head) == e.load4(e.start) {
				predicted = matchToken(min(e.common(e.start, head), e.ahead), e.start-head)
			}
		}
		if e.tokens > 0 && !asked && e.guide.boundary(false) && !e.flushBlock() {
			return
		}
		asked = false
		t := e.guide.token(e, predicted)
		if e.stopped() {
			return
		}
		e.full(t, e.start)
		e.advance(t.length())
	}
}

// addLazy adds a place with the hash of the level: level 9 uses zlib's.
func (e *engine) addLazy(at int) int {
	if e.r.hash != hashRolling {
		return e.addOnce(at)
	}
	h := e.hashAt(at)
	old := e.head[h]
	if int(old) != at {
		e.prev[at&e.mask&(windowMax-1)] = old
		e.head[h] = uint16(at)
	}
	return int(old)
}

// runLazy keeps a match back until the next byte has no longer one.
func (e *engine) runLazy(flush int) {
	for {
		if more, done := e.lookahead(flush); !more {
			if done {
				e.lastLiteral()
				e.finish()
			}
			return
		}
		head := 0
		if e.ahead >= wantMatch {
			head = e.addLazy(e.start)
		}
		e.prevMatch, e.matchLength = e.matchStart, minMatch-1
		if e.near(head) && e.prevLength < int(e.r.lazy) {
			if e.r.hash == hashRolling {
				e.matchLength, e.matchStart = e.longestDeep(head)
			} else {
				e.matchLength, e.matchStart = e.longestNG(head)
			}
			if e.matchLength <= int(e.r.weak) {
				e.matchLength = minMatch - 1
			}
		}
		if !e.available {
			e.available = true
			e.prevLength = e.matchLength
			e.advance(1)
			continue
		}
		predicted := token(e.win[e.start-1])
		if e.prevLength >= minMatch && e.matchLength <= e.prevLength {
			predicted = matchToken(e.prevLength, e.start-1-e.prevMatch)
		}
		if !e.settleLazy(e.guide.token(e, predicted)) {
			return
		}
	}
}

// settleLazy goes on from what was really written for the byte before start.
func (e *engine) settleLazy(t token) bool {
	if e.stopped() {
		return false
	}
	end := e.full(t, e.start)
	if !t.isMatch() {
		if e.guide.boundary(end) {
			e.flushBlock()
		}
		e.prevLength = e.matchLength
		e.advance(1)
		return e.room > 0 && !e.stopped()
	}
	rest := t.length() - 2
	for k := 1; k <= min(rest, e.ahead-minMatch); k++ {
		e.addLazy(e.start + k)
	}
	e.advance(rest + 1)
	e.available = false
	e.prevLength = 0
	return !e.guide.boundary(end) || e.flushBlock()
}

// longestDeep follows, of all the chains that run through the bytes of the match so far, the one that leads farthest back.
func (e *engine) longestDeep(candidate int) (int, int) {
	at, start := e.start, e.matchStart
	best := minMatch - 1
	if e.prevLength > 0 {
		best = e.prevLength
	}
	floor := max(at-e.reach, 0)
	limit, offset := floor, 0
	chain := int(e.r.chain)
	if best >= int(e.r.good) {
		chain >>= 2
	}
	if best >= minMatch {
		for k := 1; k <= best-2; k++ {
			if head := int(e.head[e.hashAt(at+k)]); head < candidate {
				candidate, offset = head, k
			}
		}
		if limit = floor + offset; candidate <= limit {
			return min(best, e.ahead), start
		}
	}
	for candidate < at {
		if n := e.commonBeyond(at, candidate-offset, best); n > best {
			start = candidate - offset
			if n >= e.ahead {
				return e.ahead, start
			}
			if best = n; best >= int(e.r.nice) {
				return best, start
			}
			if n > minMatch && start+n < at {
				var ok bool
				if candidate, offset, ok = e.deepest(at, start, n, floor); !ok {
					return min(best, e.ahead), start
				}
				limit = floor + offset
				continue
			}
		}
		if chain--; chain <= 0 {
			break
		}
		if candidate = int(e.prev[candidate&e.mask&(windowMax-1)]); candidate <= limit {
			break
		}
	}
	return best, start
}

// deepest picks the chain to go on with after a match of n bytes at start; ok is false where it leaves the window.
func (e *engine) deepest(at, start, n, floor int) (candidate, offset int, ok bool) {
	candidate = start
	for k := 0; k <= n-minMatch; k++ {
		if place := int(e.prev[(start+k)&e.mask&(windowMax-1)]); place < candidate {
			if place <= floor+k {
				return 0, 0, false
			}
			candidate, offset = place, k
		}
	}
	if head := int(e.head[e.hashAt(at+n-minMatch-1)]); head < candidate {
		offset = n - minMatch - 1
		if head <= floor+offset {
			return 0, 0, false
		}
		candidate = head
	}
	return candidate, offset, true
}

// commonBeyond counts equal bytes, or gives 0 as soon as there cannot be more than best.
func (e *engine) commonBeyond(at, candidate, best int) int {
	if e.win[candidate+best] != e.win[at+best] || e.load4(candidate)&0xffff != e.load4(at)&0xffff {
		return 0
	}
	return e.common(at, candidate)
}
