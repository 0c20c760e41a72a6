// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// What differs between the head of a dynamic block and its prediction.

const (
	headLens    = 1 << iota // number of lengths, and some of them
	headSymbols             // other repeats
	headSmall               // other code length code
	headKept                // more of it written than needed
)

// wideZero marks a repeat of zeros that was written as a repeat of the length before.
const wideZero = 139

// writeHead notes how actual differs from predicted, which is changed on the way. It reports whether anything does.
func (b *codeBuilder) writeHead(actual, predicted *codeHeader, to *column) bool {
	var parts column
	flags := uint8(0)
	if !slices.Equal(actual.litLens(), predicted.litLens()) || !slices.Equal(actual.distLens(), predicted.distLens()) {
		flags |= headLens
		writeLens(actual, predicted, &parts)
	}
	if flags&headLens != 0 {
		predicted.copyLens(actual)
		predicted.predictSymbols()
	}
	if !slices.Equal(actual.symbols, predicted.symbols) {
		flags |= headSymbols
		parts.add(uint64(len(actual.symbols)))
		writeSymbols(actual, &parts)
		predicted.symbols = append(predicted.symbols[:0], actual.symbols...)
	}
	if flags != 0 {
		b.predictSmall(predicted)
	}
	if actual.small != predicted.small {
		flags |= headSmall
		for k := range actual.small {
			parts.addByte(actual.small[k] - predicted.small[k])
		}
		predicted.small = actual.small
		predicted.kept = predicted.predictKept()
	}
	if actual.kept != predicted.kept {
		flags |= headKept
		parts.add(uint64(actual.kept))
	}
	if flags != 0 {
		to.addByte(flags)
		to.data = append(to.data, parts.data...)
	}
	return flags != 0
}

// readHead turns a prediction to what writeHead saw; it refuses heads that no decoder would take.
func (b *codeBuilder) readHead(h *codeHeader, from *column) bool {
	flags := from.takeByte()
	if flags&headLens != 0 {
		if !readLens(h, from) {
			return false
		}
		h.predictSymbols()
	}
	if flags&headSymbols != 0 && !readSymbols(h, from) {
		return false
	}
	if flags&(headLens|headSymbols) != 0 {
		b.predictSmall(h)
	}
	if flags&headSmall != 0 {
		for k := range h.small {
			if h.small[k] += from.takeByte(); h.small[k] > 7 {
				return false
			}
		}
		h.kept = h.predictKept()
	}
	if flags&headKept != 0 {
		kept := int(from.take())
		if kept < h.kept || kept > lengthCodes {
			return false
		}
		h.kept = kept
	}
	return !from.broken
}

func (h *codeHeader) copyLens(of *codeHeader) {
	h.literals, h.distances, h.lens = of.literals, of.distances, of.lens
}

// split gives the lengths padded to full size, the distances from index litLenCodes on.
func (h *codeHeader) split() (lens [litLenCodes + 34]uint8) {
	copy(lens[:], h.litLens())
	copy(lens[litLenCodes:], h.distLens())
	return lens
}

func writeLens(actual, predicted *codeHeader, to *column) {
	to.addSigned(actual.literals - predicted.literals)
	to.addSigned(actual.distances - predicted.distances)
	is, was := actual.split(), predicted.split()
	var list column
	count, last := 0, 0
	for k := range is {
		if is[k] != was[k] {
			list.add(uint64(k - last))
			list.addSigned(int(is[k]) - int(was[k]))
			last = k
			count++
		}
	}
	to.add(uint64(count))
	to.data = append(to.data, list.data...)
}

func readLens(h *codeHeader, from *column) bool {
	lens := h.split()
	literals, distances := h.literals+from.takeSigned(), h.distances+from.takeSigned()
	if literals < 257 || literals > litLenCodes || distances < 1 || distances > 32 {
		return false
	}
	at := 0
	for count := from.take(); count > 0; count-- {
		at += int(from.take())
		if from.broken || at >= len(lens) {
			return false
		}
		value := int(lens[at]) + from.takeSigned()
		if value < 0 || value > maxCodeBits {
			return false
		}
		lens[at] = uint8(value)
	}
	h.literals, h.distances = literals, distances
	copy(h.lens[:], lens[:literals])
	copy(h.lens[literals:], lens[litLenCodes:litLenCodes+distances])
	return true
}

// writeSymbols notes how many lengths each symbol stands for.
func writeSymbols(h *codeHeader, to *column) {
	at := 0
	for _, symbol := range h.symbols {
		code, extra := int(symbol&0xff), int(symbol>>8)
		run := 1
		if code >= 16 {
			run = repeatBase[code] + extra
		}
		mark := run
		if code == 16 && h.lens[at] == 0 {
			mark += wideZero
		}
		to.addByte(uint8(mark))
		at += run
	}
}

func readSymbols(h *codeHeader, from *column) bool {
	h.symbols = h.symbols[:0]
	at, total := 0, h.literals+h.distances
	for count := from.take(); count > 0; count-- {
		mark := int(from.takeByte())
		run := mark
		if mark > wideZero {
			run -= wideZero
		}
		if run < 1 || at+run > total {
			return false
		}
		value := h.lens[at]
		switch {
		case run == 1 && mark == 1:
			h.symbols = append(h.symbols, uint16(value))
		case run < 3:
			return false
		case value != 0 || mark > wideZero:
			if run > 6 || at == 0 || h.lens[at-1] != value {
				return false
			}
			h.symbols = append(h.symbols, uint16(16|(run-3)<<8))
		case run <= 10:
			h.symbols = append(h.symbols, uint16(17|(run-3)<<8))
		case run <= 138:
			h.symbols = append(h.symbols, uint16(18|(run-11)<<8))
		default:
			return false
		}
		for end := at + run; at < end; at++ {
			if h.lens[at] != value {
				return false
			}
		}
	}
	return at == total
}

// clone is a copy that shares nothing.
func (h *codeHeader) clone() *codeHeader {
	copied := *h
	copied.symbols = slices.Clone(h.symbols)
	return &copied
}
