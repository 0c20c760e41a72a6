// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
)

// The sender: the stream is read beside the simulation, and what that does not foresee is noted.

// noter is the guide of the sender: it reads the stream beside the simulation and notes what that does not foresee.
type noter struct {
	ledger
	parser *parser
	block  *block
	index  int   // index of the next one
	left   int64 // plain bytes of a stored block still to come
	empty  []emptyBlock
	events int   // corrections so far
	most   int   // of them, or the simulation stops
	until  int64 // plain place where the simulation stops
	trial  bool  // only the number of corrections is wanted
	err    error
}

func newNoter(plain int64, coded []byte, r recipe, s *survey) *noter {
	n := &noter{parser: newParser(coded, plain), empty: s.empty, most: 1 << 62, until: 1 << 62}
	n.c = &corrections{plain: plain, coded: int64(len(coded)), recipe: r, tail: s.tail}
	n.places = s.places
	n.freq.reset()
	return n
}

func (n *noter) fail(e *engine) token {
	n.err = errStream
	e.fail(errStream)
	return 0
}

// nextBlock goes on to the next block with content.
func (n *noter) nextBlock() bool {
	for {
		b, err := n.parser.next()
		if err != nil {
			return false
		}
		if b.size > 0 {
			n.block, n.index, n.left = b, 0, b.size
			return true
		}
		if b.final {
			return false
		}
	}
}

func (n *noter) token(e *engine, predicted token) token {
	if n.block == nil && !n.nextBlock() {
		return n.fail(e)
	}
	var actual token
	if n.block.kind == blockStored {
		// The tokens of a stored block are unknown. What is predicted will do, as long as it fits.
		if actual = predicted; int64(actual.length()) > n.left {
			actual = token(e.win[n.at-e.base])
		}
		n.left -= int64(actual.length())
	} else if n.index < len(n.block.tokens) {
		actual = n.block.tokens[n.index]
		n.index++
	} else {
		return n.fail(e)
	}
	if actual == predicted {
		n.gap++
	} else if !n.note(e, predicted, actual) {
		return n.fail(e)
	}
	if !e.fits(n.at, actual) {
		return n.fail(e)
	}
	n.freq.add(actual)
	n.at += int64(actual.length())
	if n.at >= n.until {
		e.halt = true
	}
	return actual
}

// note writes one correction; the window then reaches to the end of the token.
func (n *noter) note(e *engine, predicted, actual token) bool {
	here := int(n.at - e.base)
	if !actual.isMatch() && !predicted.isMatch() || !e.pull(here, actual.length()) {
		return false
	}
	n.events++
	if n.events > n.most {
		e.halt = true
	}
	if n.trial {
		return true
	}
	columns := &n.c.columns
	columns[columnGap].add(uint64(n.gap))
	n.gap = 0
	kind := uint8(putOther)
	switch {
	case !actual.isMatch():
		kind = putLiteral
	case !predicted.isMatch():
		kind = putMatch
	case predicted.distance() == actual.distance():
		kind = putLength
	}
	columns[columnKind].addByte(kind)
	if kind == putLiteral {
		return true
	}
	columns[columnLength].addByte(uint8(actual.length() - minMatch))
	if kind == putLength {
		return true
	}
	hop := e.hopOf(here, actual)
	columns[columnHop].add(uint64(hop))
	if hop == 0 {
		columns[columnDistance].add(uint64(actual.distance() - 1))
	}
	return true
}

func (n *noter) boundary(predicted bool) bool {
	if n.implied() {
		return predicted
	}
	actual := n.left == 0
	if n.block.kind != blockStored {
		actual = n.index == len(n.block.tokens)
	}
	if actual == predicted {
		n.edge++
		return actual
	}
	n.events++
	n.c.columns[columnEdge].add(uint64(n.edge))
	n.edge = 0
	return actual
}

func (n *noter) flush(e *engine, atHand bool) int64 {
	b := n.block
	if b == nil || b.kind == blockStored && n.left != 0 || b.kind != blockStored && n.index != len(b.tokens) {
		n.fail(e)
		return 0
	}
	n.block = nil
	columns := &n.c.columns
	if kind := n.predictBlock(&e.r, atHand); kind != b.kind {
		columns[columnBlock].add(uint64(n.blocks))
		columns[columnBlock].addByte(uint8(b.kind))
		n.blocks = 0
		n.events++
	} else {
		n.blocks++
	}
	if b.kind == blockDynamic {
		n.noteHead(&b.head, &n.heads, &columns[columnHead])
	}
	if b.kind == blockStored {
		if n.pads++; b.pad != 0 {
			columns[columnPad].add(uint64(n.pads - 1))
			columns[columnPad].addByte(b.pad)
			n.pads = 0
		}
	}
	n.close()
	return b.end
}

// noteHead counts a head that was predicted, or writes the count and the difference.
func (n *noter) noteHead(actual *codeHeader, count *int64, to *column) {
	var parts column
	if !n.builder.writeHead(actual, &n.head, &parts) {
		*count++
		return
	}
	n.events++
	to.add(uint64(*count))
	to.data = append(to.data, parts.data...)
	*count = 0
}

func (n *noter) empties(at int64) (bits int64) {
	n.leave(at)
	bits = n.parser.block.end
	for len(n.empty) > 0 && n.empty[0].at <= at {
		bits = n.empty[0].end
		n.empty = n.empty[1:]
	}
	return bits
}

// noteEmpties writes all blocks without content; the receiver must know their places before it starts.
func (n *noter) noteEmpties(empty []emptyBlock) {
	to := &n.c.columns[columnEmpty]
	last := int64(0)
	n.freq.reset()
	for k := range empty {
		b := &empty[k]
		to.add(uint64(b.at - last))
		last = b.at
		to.addByte(uint8(b.kind) | uint8(truth(b.pad != 0))<<2)
		if b.pad != 0 {
			to.addByte(b.pad)
		}
		if b.kind == blockDynamic {
			var parts column
			n.builder.predictHeader(&n.freq, &n.head)
			if !n.builder.writeHead(b.head, &n.head, &parts) {
				parts.addByte(0)
			}
			to.data = append(to.data, parts.data...)
		}
	}
}

// correct makes the corrections for one recipe, unless there are too many.
func correct(plain, coded []byte, r recipe, s *survey) (*corrections, error) {
	n := newNoter(int64(len(plain)), coded, r, s)
	n.most = len(coded)/4 + 16
	return n.corrections(plain)
}

// corrections runs the simulation to its end.
func (n *noter) corrections(plain []byte) (*corrections, error) {
	all := n.empty
	e := newEngine(n.c.recipe, bytes.NewReader(plain), n.c.plain, n)
	if err := e.run(placesBefore(n.places, n.c.plain)); err != nil {
		return nil, err
	}
	if e.halt {
		return nil, errNoEconomy
	}
	if n.at != n.c.plain {
		return nil, errStream
	}
	n.noteEmpties(all)
	return n.c, nil
}
