// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"io"
)

// bitReader takes bits from a slice, lowest first; past the end it gives zeros and remembers that it did.
type bitReader struct {
	data  []byte
	next  int
	hold  uint64
	count uint
	over  bool
}

// refill brings at least 48 bits, where the data has them.
func (r *bitReader) refill() {
	if r.next+8 <= len(r.data) {
		r.hold |= binary.LittleEndian.Uint64(r.data[r.next:]) << r.count
		taken := (63 - r.count) >> 3
		r.next += int(taken)
		r.count += taken << 3
		return
	}
	for r.count <= 48 && r.next < len(r.data) {
		r.hold |= uint64(r.data[r.next]) << r.count
		r.next++
		r.count += 8
	}
}

func (r *bitReader) drop(n uint) {
	if n > r.count {
		r.over = true
		r.hold, r.count = 0, 0
		return
	}
	r.hold >>= n
	r.count -= n
}

// take gives up to 32 bits.
func (r *bitReader) take(n uint) uint32 {
	if r.count < n {
		r.refill()
	}
	value := uint32(r.hold & (1<<n - 1))
	r.drop(n)
	return value
}

// position is the number of bits taken so far.
func (r *bitReader) position() int64 { return int64(r.next)*8 - int64(r.count) }

// align gives the bits up to the next byte border.
func (r *bitReader) align() (value uint8) { return uint8(r.take(r.count & 7)) }

// bytes gives whole bytes after align, without copying.
func (r *bitReader) bytes(n int) []byte {
	start := int(r.position() >> 3)
	if n > len(r.data)-start {
		r.over = true
		return nil
	}
	r.next, r.hold, r.count = start+n, 0, 0
	return r.data[start : start+n]
}

// bitWriter passes bits on, lowest first, and refuses to write past a limit.
type bitWriter struct {
	to    io.Writer
	buf   []byte
	hold  uint64
	count uint
	done  int64
	limit int64
	err   error
}

func newBitWriter(to io.Writer, limit int64) *bitWriter {
	return &bitWriter{to: to, buf: make([]byte, 0, 1<<16), limit: limit}
}

// put appends up to 32 bits.
func (w *bitWriter) put(value uint32, n uint) {
	w.hold |= uint64(value) << w.count
	w.count += n
	if w.count >= 32 {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(w.hold))
		w.hold >>= 32
		w.count -= 32
		if len(w.buf) >= 1<<16-8 {
			w.pass()
		}
	}
}

// position is the number of bits put so far.
func (w *bitWriter) position() int64 { return (w.done+int64(len(w.buf)))*8 + int64(w.count) }

// align fills up to the byte border with the low bits of pad and empties the register.
func (w *bitWriter) align(pad uint8) {
	rest := (8 - w.count&7) & 7
	w.put(uint32(pad)&(1<<rest-1), rest)
	for w.count > 0 {
		w.buf = append(w.buf, byte(w.hold))
		w.hold >>= 8
		w.count -= 8
	}
}

// bytes appends whole bytes after align.
func (w *bitWriter) bytes(data []byte) {
	w.pass()
	w.write(data)
}

func (w *bitWriter) pass() {
	w.write(w.buf)
	w.buf = w.buf[:0]
}

func (w *bitWriter) write(data []byte) {
	w.done += int64(len(data))
	if w.err == nil && w.done > w.limit {
		w.err = errMalformed
	}
	if w.err == nil {
		_, w.err = w.to.Write(data)
	}
}
