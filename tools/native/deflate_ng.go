// SPDX-License-Identifier: Apache-2.0

package main

// The ways of zlib-ng and zlib-rs: four-byte hashes, and matches of at least four bytes except in the lazy method.

const wantMatch = 4

// addOnce is add, but leaves a place alone that already heads its chain.
func (e *engine) addOnce(at int) int {
	h := uint16(e.load4(at) * 2654435761 >> 16)
	old := e.head[h]
	if int(old) != at {
		e.prev[at&e.mask&(windowMax-1)] = old
		e.head[h] = uint16(at)
	}
	return int(old)
}

// addRange adds count places.
func (e *engine) addRange(at, count int) {
	for end := at + count; at < end; at++ {
		e.addOnce(at)
	}
}

// takeBack undoes the adding of the places from first on to before end.
func (e *engine) takeBack(first, end int) {
	for at := end - 1; at >= first; at-- {
		h := uint16(e.load4(at) * 2654435761 >> 16)
		if int(e.head[h]) == at {
			e.head[h] = e.prev[at&e.mask&(windowMax-1)]
		}
	}
}

func (e *engine) insertLeftNG() {
	at := e.start - e.insert
	if at >= 1 && e.r.hash != hashRolling {
		e.addOnce(at - 1)
	}
	count := e.insert
	if e.ahead == 1 {
		count--
	}
	for ; count > 0; count-- {
		e.addLazy(at)
		e.insert--
		at++
	}
}

// longestNG is longest with zlib-ng's order of tests: below level 5 it gives up after a candidate that only looked better.
func (e *engine) longestNG(candidate int) (int, int) {
	at, start := e.start, e.matchStart
	best := minMatch - 1
	if e.prevLength > 0 {
		best = e.prevLength
	}
	limit := max(at-e.reach, 0)
	chain := int(e.r.chain)
	if best >= int(e.r.good) {
		chain >>= 2
	}
	head := e.load8(at)
	for candidate < at {
		n := 0
		if best < 8 {
			differ := head ^ e.load8(candidate)
			if differ == 0 {
				n = e.common(at, candidate)
			} else if k := firstDifference(differ); k > best {
				n = k
			}
		} else if e.load8(candidate+best-7) == e.load8(at+best-7) && e.load8(candidate) == head {
			n = e.common(at, candidate)
			if n <= best && e.r.level < 5 {
				break
			}
		}
		if n > best {
			start = candidate
			if n >= e.ahead {
				return e.ahead, start
			}
			best = n
			if best >= int(e.r.nice) {
				return best, start
			}
		}
		if chain--; chain <= 0 {
			break
		}
		candidate = int(e.prev[candidate&e.mask&(windowMax-1)])
		if candidate <= limit {
			break
		}
	}
	return best, start
}

// near reports whether a chain's head may be tried.
func (e *engine) near(head int) bool {
	return head != 0 && head < e.start && e.start-head <= e.reach
}

// stretch is a match, or (shorter than four) a run of literals. It may have moved to the left of where it was found.
type stretch struct {
	from, length, start, found int
}

// search finds what zlib-ng's medium method would take at start, a literal if nothing.
func (e *engine) search(head int) stretch {
	s := stretch{start: e.start, found: e.start, length: 1}
	if e.near(head) {
		s.length, s.from = e.longestNG(head)
		e.matchStart = s.from
		if s.length < wantMatch || s.from >= s.start {
			s.length = 1
		}
	}
	return s
}

// runMedium decides on a match after a look at the one behind it, which may grow to its left.
func (e *engine) runMedium(flush int) {
	var next stretch
	eager := e.r.level < 5
	for {
		if e.ahead < minLookahead {
			e.fill()
			if e.ahead < minLookahead && flush == flushNone || e.stopped() {
				return
			}
			if e.ahead == 0 {
				break
			}
			next.length = 0
		}
		current := next
		if eager || next.length == 0 {
			head := 0
			if e.ahead >= wantMatch {
				head = e.addOnce(e.start)
			}
			current = e.search(head)
		}
		next.length = 0
		added := e.addStretch(current)
		if behind := current.start + current.length; !eager && e.ahead > minLookahead && behind < 2*e.size-minLookahead {
			here := e.start
			e.start = behind
			next = e.search(e.addOnce(behind))
			added = max(added, behind+1)
			if next.length >= wantMatch {
				e.moveLeft(&current, &next)
			}
			e.start = here
		}
		full, same := e.writeStretch(current, added)
		if !same {
			next.length = 0
		}
		if e.stopped() || full && !e.flushBlock() {
			return
		}
	}
	e.finish()
}

// writeStretch asks for the tokens of a stretch. If the maker wrote something else, that is taken over and same is false.
func (e *engine) writeStretch(s stretch, added int) (full, same bool) {
	if s.length >= wantMatch {
		predicted := matchToken(s.length, s.start-s.from)
		t := e.guide.token(e, predicted)
		if e.stopped() {
			return false, false
		}
		full = e.full(t, e.start)
		if same = t == predicted; same {
			e.advance(s.length)
		} else {
			e.takeOver(t, added)
		}
		return e.guide.boundary(full), same
	}
	for n := s.length; n > 0; n-- {
		t := e.guide.token(e, token(e.win[e.start]))
		if e.stopped() {
			return false, false
		}
		full = e.full(t, e.start) || full
		if t.isMatch() {
			e.takeOver(t, added)
			return e.guide.boundary(full), false
		}
		e.advance(1)
		if e.guide.boundary(full && n == 1) {
			if n > 1 {
				e.takeBack(e.start, added)
			}
			return true, n == 1
		}
	}
	return false, true
}

func (e *engine) advance(n int) {
	e.start += n
	e.ahead -= n
}

// takeOver goes on from a token that was not predicted: what was added beyond it is taken back.
func (e *engine) takeOver(t token, added int) {
	e.takeBack(e.start+1, added)
	if e.ahead >= wantMatch {
		e.addOnce(e.start)
	}
	if t.isMatch() {
		e.addStretch(stretch{start: e.start, found: e.start, length: t.length(), from: e.start - t.distance()})
	}
	e.advance(t.length())
}

// addStretch adds the places inside a stretch, few if it is long. It returns the end of what was added.
func (e *engine) addStretch(s stretch) int {
	if e.ahead <= s.length+wantMatch {
		return e.start
	}
	first, count := s.start+1, s.length-1
	end := first + count
	if s.length < wantMatch {
		if count > 0 && first >= s.found {
			e.addInside(first, count, s.found)
		}
		return end
	}
	if s.length > 16*int(e.r.lazy) || e.ahead < wantMatch {
		if end >= minMatch-2 {
			e.addOnce(end - 1)
		}
		return end
	}
	if first >= s.found {
		e.addInside(first, count, s.found)
	} else if s.found < end {
		e.addRange(s.found, end-s.found)
	}
	return end
}

func (e *engine) addInside(first, count, found int) {
	if first+count > found {
		e.addRange(first, count)
	} else {
		e.addRange(first, found-first+1)
	}
}

// moveLeft lets the next match grow to the left at the cost of the current one, if that leaves a literal at most.
func (e *engine) moveLeft(current, next *stretch) {
	if current.length <= 1 || current.length > 1+next.from || current.length > 1+next.start {
		return
	}
	if e.win[next.from+1-current.length] != e.win[next.start+1-current.length] {
		return
	}
	limit := max(next.start-e.reach, 0)
	c, n := *current, *next
	for c.length >= 1 && n.start > limit && n.length < 256 && n.from > 1 && e.win[n.from-1] == e.win[n.start-1] {
		n.start--
		n.from--
		n.length++
		c.length--
	}
	if c.length == current.length || c.length > 1 || n.length == 2 {
		return
	}
	n.found++
	*current, *next = c, n
}
