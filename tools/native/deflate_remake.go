// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
)

// The receiver: the simulation is led by the corrections, and the stream is written.

const historySize = 1 << 18 // more than a stored block and the window

// history passes plain content on and remembers the last of it, for stored blocks.
type history struct {
	from io.Reader
	ring [historySize]byte
	done int64
}

func (h *history) Read(to []byte) (int, error) {
	n, err := h.from.Read(to[:min(len(to), historySize/2)])
	for part := to[:n]; len(part) > 0; {
		k := copy(h.ring[h.done%historySize:], part)
		h.done += int64(k)
		part = part[k:]
	}
	return n, err
}

// remaker is the guide of the receiver: it follows the corrections and writes the stream.
type remaker struct {
	ledger
	plain  *history
	out    *bitWriter
	tokens []token
	empty  []emptyBlock
	codes  tokenCodes
}

func newRemaker(c *corrections, plain *history, out *bitWriter) (*remaker, error) {
	m := &remaker{plain: plain, out: out}
	m.c = c
	m.freq.reset()
	if err := m.readEmpties(); err != nil {
		return nil, err
	}
	m.gap, m.edge = c.columns[columnGap].countdown(), c.columns[columnEdge].countdown()
	m.blocks, m.heads = c.columns[columnBlock].countdown(), c.columns[columnHead].countdown()
	m.pads = c.columns[columnPad].countdown()
	return m, nil
}

func (m *remaker) readEmpties() error {
	from := &m.c.columns[columnEmpty]
	last, heads := int64(0), 0
	for !from.empty() {
		b := emptyBlock{at: last + int64(from.take())}
		mark := from.takeByte()
		b.kind = int(mark & 3)
		if mark&4 != 0 {
			b.pad = from.takeByte()
		}
		if mark > 7 || b.kind > blockDynamic || b.at > m.c.plain || from.broken || len(m.empty) >= mostEmpties || heads >= mostEmptyHeads {
			return errMalformed
		}
		if b.kind == blockDynamic {
			m.builder.predictHeader(&m.freq, &m.head)
			if !m.builder.readHead(&m.head, from) {
				return errMalformed
			}
			b.head = m.head.clone()
			heads++
		}
		if len(m.empty) == 0 || last != b.at {
			m.places = append(m.places, b.at)
		}
		last = b.at
		m.empty = append(m.empty, b)
	}
	return nil
}

func (m *remaker) token(e *engine, predicted token) token {
	actual := predicted
	if m.gap > 0 {
		m.gap--
	} else if actual = m.instead(e, predicted); e.stopped() {
		return 0
	}
	if !e.fits(m.at, actual) || len(m.tokens) >= maxTokens {
		e.fail(errMalformed)
		return 0
	}
	m.freq.add(actual)
	m.tokens = append(m.tokens, actual)
	m.at += int64(actual.length())
	return actual
}

// instead reads one correction.
func (m *remaker) instead(e *engine, predicted token) token {
	columns := &m.c.columns
	here := int(m.at - e.base)
	kind := columns[columnKind].takeByte()
	m.gap = columns[columnGap].countdown()
	if kind == putLiteral {
		return token(e.win[here])
	}
	length := int(columns[columnLength].takeByte()) + minMatch
	distance := predicted.distance()
	if kind > putOther || kind == putLength && !predicted.isMatch() || !e.pull(here, length) {
		e.fail(errMalformed)
		return 0
	}
	if kind != putLength {
		hop := columns[columnHop].take()
		if hop > 0 {
			distance = e.distanceOf(here, length, int(min(hop, hopLimit+1)))
		} else {
			distance = int(columns[columnDistance].take()) + 1
		}
	}
	if distance < 1 || distance > maxDistance || int64(distance) > m.at {
		e.fail(errMalformed)
		return 0
	}
	return matchToken(length, distance)
}

func (m *remaker) boundary(predicted bool) bool {
	if m.implied() {
		return predicted
	}
	if m.edge > 0 {
		m.edge--
		return predicted
	}
	m.edge = m.c.columns[columnEdge].countdown()
	return !predicted
}

func (m *remaker) flush(e *engine, atHand bool) int64 {
	columns := &m.c.columns
	kind := m.predictBlock(&e.r, atHand)
	if m.blocks > 0 {
		m.blocks--
	} else {
		kind = int(columns[columnBlock].takeByte())
		m.blocks = columns[columnBlock].countdown()
	}
	final := uint32(0)
	if m.at >= m.c.plain && len(m.empty) == 0 {
		final = 1
	}
	m.out.put(final|uint32(kind)<<1, 3)
	var err error
	switch kind {
	case blockStored:
		err = m.stored()
	case blockFixed:
		m.codes.set(fixedLitLens[:], fixedDistLens[:])
		err = m.codes.write(m.out, m.tokens)
	case blockDynamic:
		if m.heads > 0 {
			m.heads--
		} else {
			if !m.builder.readHead(&m.head, &columns[columnHead]) {
				e.fail(errMalformed)
				return 0
			}
			m.heads = columns[columnHead].countdown()
		}
		m.writeHeader(&m.head)
		m.codes.set(m.head.litLens(), m.head.distLens())
		err = m.codes.write(m.out, m.tokens)
	default:
		err = errMalformed
	}
	if err == nil {
		err = m.out.err
	}
	if err != nil {
		e.fail(err)
	}
	m.tokens = m.tokens[:0]
	m.close()
	return m.out.position()
}

func (m *remaker) stored() error {
	pad := uint8(0)
	if m.pads > 0 {
		m.pads--
	} else {
		pad = m.c.columns[columnPad].takeByte()
		m.pads = m.c.columns[columnPad].countdown()
	}
	size := m.at - m.opened
	if size > maxBlockSize || m.plain.done-m.opened > historySize {
		return errMalformed
	}
	m.storedHead(int(size), pad)
	for at := m.opened; at < m.at; {
		from := at % historySize
		part := m.plain.ring[from:min(historySize, from+m.at-at)]
		m.out.bytes(part)
		at += int64(len(part))
	}
	return nil
}

func (m *remaker) storedHead(size int, pad uint8) {
	m.out.align(pad)
	m.out.put(uint32(size), 16)
	m.out.put(uint32(size)^0xffff, 16)
}

func (m *remaker) writeHeader(h *codeHeader) {
	m.out.put(uint32(h.literals-257), 5)
	m.out.put(uint32(h.distances-1), 5)
	m.out.put(uint32(h.kept-4), 4)
	for _, symbol := range lengthOrder[:h.kept] {
		m.out.put(uint32(h.small[symbol]), 3)
	}
	var codes [lengthCodes]uint32
	setCodes(codes[:], h.small[:])
	for _, symbol := range h.symbols {
		code := symbol & 0xff
		m.out.put(codes[code]&0xffff, uint(codes[code]>>16))
		m.out.put(uint32(symbol>>8), uint(repeatExtra[code]))
	}
}

func (m *remaker) empties(at int64) int64 {
	m.leave(at)
	for len(m.empty) > 0 && m.empty[0].at <= at {
		b := &m.empty[0]
		final := uint32(0)
		if m.empty = m.empty[1:]; at >= m.c.plain && len(m.empty) == 0 {
			final = 1
		}
		m.out.put(final|uint32(b.kind)<<1, 3)
		switch b.kind {
		case blockStored:
			m.storedHead(0, b.pad)
		case blockFixed:
			m.out.put(0, 7)
		case blockDynamic:
			m.writeHeader(b.head)
			m.codes.set(b.head.litLens(), b.head.distLens())
			m.codes.write(m.out, nil)
		}
	}
	return m.out.position()
}

// remake writes the stream that the corrections and the plain content make.
func remake(c *corrections, plain io.Reader, to io.Writer) error {
	from := &history{from: plain}
	out := newBitWriter(to, c.coded)
	m, err := newRemaker(c, from, out)
	if err != nil {
		return err
	}
	e := newEngine(c.recipe, from, c.plain, m)
	if err := e.run(placesBefore(m.places, c.plain)); err != nil {
		return err
	}
	out.align(c.tail)
	out.pass()
	if out.err != nil {
		return out.err
	}
	var more [1]byte
	if n, _ := io.ReadFull(plain, more[:]); n != 0 || m.at != c.plain || len(m.tokens) > 0 || out.done != c.coded || !c.sound() {
		return errMalformed
	}
	return nil
}
