// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
)

// A simulated compressor. It predicts each token from the window and from what its maker really did so far: a guide answers every
// prediction with the truth, and the simulation goes on from there. Both directions run the same simulation.

// guide knows what the maker did.
type guide interface {
	token(e *engine, predicted token) token
	boundary(predicted bool) bool       // after each token: does the block end here?
	flush(e *engine, atHand bool) int64 // closes the block, returns the bits of the stream up to here
	empties(at int64) int64             // blocks without content at this place, and the bits up to here
}

type engine struct {
	r     recipe
	guide guide
	from  io.Reader
	total int64 // plain bytes
	fed   int64 // of them in the window so far
	avail int64 // bytes given by the writer and not yet taken
	err   error
	halt  bool // the guide has seen enough

	win    window
	head   [1 << 16]uint16
	prev   [windowMax]uint16
	base   int64 // place of win[0] in the plain content
	start  int   // next byte to be matched
	ahead  int   // bytes known from there on
	insert int
	opened int // start of the block; negative when it left the window

	size, mask  int // of the window
	reach       int // largest distance
	matchStart  int
	matchLength int
	prevLength  int
	prevMatch   int
	available   bool
	tokens      uint32 // in the block
	far         uint32 // matches in the block
	blockOpen   int
	farBits     uint32 // gzip's estimate for the distances

	room  int   // what is left of the output buffer
	bits  int64 // of the stream
	taken int64 // bytes of the stream that left the compressor
}

func newEngine(r recipe, from io.Reader, total int64, g guide) *engine {
	e := &engine{r: r, guide: g, from: from, total: total}
	e.size = 1 << r.windowBits
	e.mask = e.size - 1
	e.reach = e.size - minLookahead
	e.room = int(^uint(0) >> 1)
	e.matchLength = minMatch - 1
	return e
}

// flushing modes of a call.
const (
	flushNone = iota
	flushSync
	flushFinish
)

// run compresses everything. flushes are the places, ascending, where the maker flushed in between.
func (e *engine) run(flushes []int64) error {
	for {
		for len(flushes) > 0 && flushes[0] == e.fed && e.fed < e.total {
			e.call(flushSync)
			e.settle()
			e.drain()
			e.bits = e.guide.empties(e.fed)
			if e.r.forget {
				e.forget()
			}
			flushes = flushes[1:]
		}
		if e.fed >= e.total || e.stopped() {
			break
		}
		end := e.total
		if e.r.write > 0 {
			end = min(end, e.fed+int64(e.r.write))
		}
		if len(flushes) > 0 {
			end = min(end, flushes[0])
		}
		for e.fed < end && !e.stopped() {
			e.renewRoom()
			e.avail = end - e.fed
			e.call(flushNone)
		}
	}
	if e.r.flushLast && !e.stopped() {
		e.call(flushSync) // into what is left of the buffer
		e.settle()
	}
	for !e.stopped() {
		e.renewRoom()
		before := e.taken
		if e.call(flushFinish); e.r.room == 0 || e.taken == before {
			break
		}
	}
	if e.drain(); !e.stopped() {
		e.guide.empties(e.total)
	}
	return e.err
}

// forget starts the window anew.
func (e *engine) forget() {
	clear(e.head[:])
	e.base += int64(e.start)
	e.start, e.opened, e.insert = 0, 0, 0
}

// drain makes sure that everything given is in closed blocks.
func (e *engine) drain() {
	for (e.ahead > 0 || e.tokens > 0 || e.available) && !e.stopped() {
		e.room = int(^uint(0) >> 1)
		e.call(flushSync)
	}
}

func (e *engine) stopped() bool { return e.err != nil || e.halt }

func (e *engine) fail(err error) {
	if e.err == nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errMalformed
		}
		e.err = err
	}
}

func (e *engine) renewRoom() {
	if e.r.room > 0 {
		e.room = int(e.r.room)
	}
}

// settle asks for the rest of the output until nothing comes.
func (e *engine) settle() {
	for e.r.room > 0 && !e.stopped() {
		e.renewRoom()
		before := e.taken
		if e.pending() == 0 {
			return
		}
		if e.call(flushNone); e.taken == before {
			return
		}
	}
}

func (e *engine) pending() int64 { return e.bits>>3 - e.taken }

// passOn moves finished bytes to the output buffer.
func (e *engine) passOn() {
	if e.r.room == 0 {
		return
	}
	n := min(e.pending(), int64(e.room))
	e.taken += n
	e.room -= int(n)
}

// call is one call of the compressor.
func (e *engine) call(flush int) {
	if e.passOn(); e.room == 0 {
		return
	}
	if e.avail == 0 && e.ahead == 0 && flush == flushNone {
		return
	}
	switch e.r.method {
	case methodBytes:
		e.runBytes(flush)
	case methodRuns:
		e.runRuns(flush)
	case methodFast:
		e.runFast(flush)
	case methodSlow:
		e.runSlow(flush)
	case methodQuick:
		e.runQuick(flush)
	case methodBrisk:
		e.runBrisk(flush)
	case methodMedium:
		e.runMedium(flush)
	case methodLazy:
		e.runLazy(flush)
	}
}

// fits reports whether a token at a place stays within what is known, before and behind it.
func (e *engine) fits(at int64, t token) bool {
	known := e.base + int64(e.start+e.ahead)
	return at+int64(t.length()) <= known && (!t.isMatch() || int64(t.distance()) <= at)
}

// flushBlock closes the block; it reports whether the call goes on.
func (e *engine) flushBlock() bool {
	e.tokens, e.far, e.farBits = 0, 0, 0
	e.bits = e.guide.flush(e, e.opened >= 0)
	e.opened = e.start
	e.passOn()
	return e.room > 0 && !e.stopped()
}

// full reports whether the maker's rule ends the block after a token that it noted while it stood at win[at].
func (e *engine) full(t token, at int) bool {
	e.tokens++
	switch e.r.end {
	case endByTokens:
		return e.tokens == e.r.endAt
	case endByGzip:
		return e.fullGzip(t, at)
	case endByBytes:
		return at-e.opened >= int(e.r.endAt)
	}
	return false
}

// fullGzip is GNU gzip's rule: every 4096 tokens it guesses the size, and stops where half of the tokens saved half of the bytes.
func (e *engine) fullGzip(t token, at int) bool {
	if t.isMatch() {
		e.far++
		e.farBits += 5 + uint32(distExtra[distCodeOf(uint32(t&0x7fff))])
	}
	if e.r.level > 2 && e.tokens&0xfff == 0 {
		size := (e.tokens*8 + e.farBits) >> 3
		if e.far < e.tokens/2 && size < uint32(at-e.opened)/2 {
			return true
		}
	}
	return e.tokens == e.r.endAt-1 || e.far == e.r.endAt
}

// finish ends a call that used up all data.
func (e *engine) finish() {
	e.insert = min(e.start, minMatch-1)
	if e.tokens > 0 {
		e.flushBlock()
	}
}
