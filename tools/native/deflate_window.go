// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"io"
	"math/bits"
)

// The window of the simulation: two windows' worth of plain bytes, filled and moved as zlib does it, since matches depend on when.

const (
	windowMax    = 1 << 15
	windowMask   = 1<<17 - 1
	windowRoom   = 1<<17 + 8
	minLookahead = maxMatch + minMatch + 1
)

// window is two windows of plain bytes. All reads are masked to 17 bits, which saves the bounds checks; the place is always below that.
type window [windowRoom]byte

func load2(w *window, at int) uint32 {
	return uint32(binary.LittleEndian.Uint16(w[at&windowMask:]))
}

func (e *engine) load4(at int) uint32 { return binary.LittleEndian.Uint32(e.win[at&windowMask:]) }

func (e *engine) load8(at int) uint64 { return binary.LittleEndian.Uint64(e.win[at&windowMask:]) }

func firstDifference(x uint64) int { return bits.TrailingZeros64(x) >> 3 }

// common counts equal bytes at two places, up to 258.
func (e *engine) common(a, b int) int {
	for n := 0; n < maxMatch; n += 8 {
		if x := e.load8(a+n) ^ e.load8(b+n); x != 0 {
			return min(n+firstDifference(x), maxMatch)
		}
	}
	return maxMatch
}

// read moves up to n bytes of the plain content to the window's end.
func (e *engine) read(n int) {
	at := e.start + e.ahead
	if _, err := io.ReadFull(e.from, e.win[at:at+n]); err != nil {
		e.fail(err)
		return
	}
	e.fed += int64(n)
	e.ahead += n
	e.avail = max(0, e.avail-int64(n))
}

// fill brings lookahead, as far as the writer gave any, and moves the window on when it is full.
func (e *engine) fill() {
	for {
		if e.start >= e.size+e.reach {
			e.slide()
		}
		more := 2*e.size - e.ahead - e.start
		if e.avail == 0 || e.stopped() {
			return
		}
		e.read(int(min(e.avail, int64(more))))
		if e.stopped() {
			return
		}
		if e.ahead+e.insert >= minMatch {
			if e.r.method >= methodQuick {
				e.insertLeftNG()
			} else {
				e.insertLeft()
			}
		}
		if e.ahead >= minLookahead {
			return
		}
	}
}

func (e *engine) slide() {
	copy(e.win[:e.size], e.win[e.size:2*e.size])
	if e.matchStart >= e.size {
		e.matchStart -= e.size
	} else {
		e.matchStart = 0
		if e.r.method >= methodQuick {
			e.prevLength = 0
		}
	}
	e.start -= e.size
	e.opened -= e.size
	e.insert = min(e.insert, e.start)
	e.base += int64(e.size)
	size := int32(e.size)
	slideTable(e.head[:], size)
	slideTable(e.prev[:], size)
}

func slideTable(table []uint16, size int32) {
	for k, v := range table {
		less := int32(v) - size
		table[k] = uint16(less &^ (less >> 31))
	}
}

// lookahead reports whether there is work: false ends the call, at the end of the data with done.
func (e *engine) lookahead(flush int) (more, done bool) {
	if e.ahead < minLookahead {
		e.fill()
		if e.ahead < minLookahead && flush == flushNone || e.stopped() {
			return false, false
		}
		if e.ahead == 0 {
			return false, true
		}
	}
	return true, false
}

// pull makes n bytes known from place at on, even if the writer of the simulation would give them later.
func (e *engine) pull(at, n int) bool {
	lack := at + n - e.start - e.ahead
	if lack <= 0 {
		return true
	}
	if int64(lack) > e.total-e.fed || e.start+e.ahead+lack > 2*e.size {
		e.fail(errMalformed)
		return false
	}
	e.read(lack)
	return e.err == nil
}
