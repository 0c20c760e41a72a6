// SPDX-License-Identifier: Apache-2.0

package main

// How zlib and its kin choose a block's kind, code lengths and their writing: facts of their behaviour, to be predicted exactly.

// codeShape says what a code is for.
type codeShape struct {
	size  int     // number of symbols
	limit int     // longest code
	extra []uint8 // extra bits from symbol base on
	base  int
	fixed []uint8 // lengths of the fixed code, if there is one
}

var (
	litShape   = codeShape{size: litLenCodes, limit: maxCodeBits, extra: lengthExtra[:], base: endOfBlock + 1, fixed: fixedLitLens[:]}
	distShape  = codeShape{size: distCodes, limit: maxCodeBits, extra: distExtra[:], fixed: fixedDistLens[:]}
	smallShape = codeShape{size: lengthCodes, limit: 7, extra: repeatExtra[:]}
)

// codeBuilder makes code lengths from frequencies: a heap of nodes ordered by (frequency, depth), ties as they fall.
type codeBuilder struct {
	freq    [2 * litLenCodes]uint32
	depth   [2 * litLenCodes]uint8
	parent  [2 * litLenCodes]uint16
	bits    [2 * litLenCodes]uint8
	heap    [litLenCodes + 2]uint16
	used    int
	order   []uint16 // nodes as they left the heap
	optimal int64    // bits of the block with the codes made so far
	plain   int64    // bits with the fixed codes
}

func (b *codeBuilder) before(n, m uint16) bool {
	return b.freq[n] < b.freq[m] || b.freq[n] == b.freq[m] && b.depth[n] <= b.depth[m]
}

func (b *codeBuilder) sink(at int) {
	node := b.heap[at]
	for child := at << 1; child <= b.used; child <<= 1 {
		if child < b.used && b.before(b.heap[child+1], b.heap[child]) {
			child++
		}
		if b.before(node, b.heap[child]) {
			break
		}
		b.heap[at] = b.heap[child]
		at = child
	}
	b.heap[at] = node
}

// build fills lens and returns the largest symbol in use.
func (b *codeBuilder) build(freq []uint32, shape *codeShape, lens []uint8) int {
	last := b.fillHeap(freq, shape)
	b.join(shape.size)
	b.measure(shape, last, lens)
	return last
}

// fillHeap lines up the symbols in use; at least two take part, the lowest unused ones if need be.
func (b *codeBuilder) fillHeap(freq []uint32, shape *codeShape) int {
	last := -1
	b.used, b.order = 0, b.order[:0]
	for n, f := range freq[:shape.size] {
		b.freq[n], b.bits[n] = f, 0
		if f != 0 {
			b.used++
			b.heap[b.used] = uint16(n)
			b.depth[n] = 0
			last = n
		}
	}
	for b.used < 2 {
		node := 0
		if last < 2 {
			last++
			node = last
		}
		b.used++
		b.heap[b.used] = uint16(node)
		b.freq[node], b.depth[node] = 1, 0
		b.optimal--
		if shape.fixed != nil {
			b.plain -= int64(shape.fixed[node])
		}
	}
	return last
}

// join pairs the two least nodes until one is left.
func (b *codeBuilder) join(next int) {
	for n := b.used / 2; n >= 1; n-- {
		b.sink(n)
	}
	for {
		least := b.heap[1]
		b.heap[1] = b.heap[b.used]
		b.used--
		b.sink(1)
		second := b.heap[1]
		b.order = append(b.order, least, second)
		b.freq[next] = b.freq[least] + b.freq[second]
		b.depth[next] = max(b.depth[least], b.depth[second]) + 1
		b.parent[least], b.parent[second] = uint16(next), uint16(next)
		b.heap[1] = uint16(next)
		next++
		b.sink(1)
		if b.used < 2 {
			break
		}
	}
	b.order = append(b.order, b.heap[1])
}

// measure turns the tree to lengths, mends those past the limit and adds up the block's size.
func (b *codeBuilder) measure(shape *codeShape, last int, lens []uint8) {
	var count [maxCodeBits + 2]int
	overflow := 0
	b.bits[b.order[len(b.order)-1]] = 0
	for k := len(b.order) - 2; k >= 0; k-- {
		node := b.order[k]
		n := int(b.bits[b.parent[node]]) + 1
		if n > shape.limit {
			n = shape.limit
			overflow++
		}
		b.bits[node] = uint8(n)
		if int(node) <= last {
			count[n]++
		}
	}
	if overflow > 0 {
		b.mend(shape.limit, last, overflow, &count)
	}
	for n := 0; n <= last; n++ {
		extra := int64(0)
		if n >= shape.base {
			extra = int64(shape.extra[n-shape.base])
		}
		if f := int64(b.freq[n]); f != 0 {
			b.optimal += f * (int64(b.bits[n]) + extra)
			if shape.fixed != nil {
				b.plain += f * (int64(shape.fixed[n]) + extra)
			}
		}
	}
	copy(lens, b.bits[:shape.size])
}

// mend gives the rarest symbols the longest codes again, after the counts were moved below the limit.
func (b *codeBuilder) mend(limit, last, overflow int, count *[maxCodeBits + 2]int) {
	for ; overflow > 0; overflow -= 2 {
		n := limit - 1
		for count[n] == 0 {
			n--
		}
		count[n]--
		count[n+1] += 2
		count[limit]--
	}
	k := 0
	for n := limit; n > 0; n-- {
		for left := count[n]; left > 0; k++ {
			if node := b.order[k]; int(node) <= last {
				b.bits[node] = uint8(n)
				left--
			}
		}
	}
}

// predictHeader makes the head of a dynamic block from frequencies; b.optimal and b.plain then hold both sizes in bits.
func (b *codeBuilder) predictHeader(f *frequencies, h *codeHeader) {
	var lit [litLenCodes]uint8
	var dist [distCodes]uint8
	b.optimal, b.plain = 0, 0
	h.literals = b.build(f.lit[:], &litShape, lit[:]) + 1
	h.distances = b.build(f.dist[:], &distShape, dist[:]) + 1
	copy(h.lens[:], lit[:h.literals])
	copy(h.lens[h.literals:], dist[:h.distances])
	h.predictSymbols()
	b.predictSmall(h)
	b.optimal += int64(3*h.kept + 14)
}

// predictSymbols writes the code lengths with repeats, literals and distances each on their own.
func (h *codeHeader) predictSymbols() {
	h.symbols = appendRuns(h.symbols[:0], h.litLens())
	h.symbols = appendRuns(h.symbols, h.distLens())
}

// appendRuns cuts each run greedily: zeros by up to 138, others by up to 6 after the first one.
func appendRuns(symbols []uint16, lens []uint8) []uint16 {
	for n := 0; n < len(lens); {
		value, end := lens[n], n+1
		for end < len(lens) && lens[end] == value {
			end++
		}
		run := end - n
		n = end
		if value != 0 {
			symbols = append(symbols, uint16(value))
			run--
		}
		for run > 0 {
			switch {
			case run < 3:
				symbols = append(symbols, uint16(value))
				run--
			case value != 0:
				part := min(run, 6)
				symbols = append(symbols, uint16(16|(part-3)<<8))
				run -= part
			case run <= 10:
				symbols = append(symbols, uint16(17|(run-3)<<8))
				run = 0
			default:
				part := min(run, 138)
				symbols = append(symbols, uint16(18|(part-11)<<8))
				run -= part
			}
		}
	}
	return symbols
}

// predictSmall makes the code length code of a head whose symbols are known.
func (b *codeBuilder) predictSmall(h *codeHeader) {
	var freq [lengthCodes]uint32
	for _, symbol := range h.symbols {
		freq[symbol&0xff]++
	}
	b.build(freq[:], &smallShape, h.small[:])
	h.kept = h.predictKept()
}

func (h *codeHeader) predictKept() int {
	for kept := lengthCodes; kept > 4; kept-- {
		if h.small[lengthOrder[kept-1]] != 0 {
			return kept
		}
	}
	return 4
}

// frequencies of one block; the end symbol counts once.
type frequencies struct {
	lit    [litLenCodes]uint32
	dist   [distCodes]uint32
	tokens int
}

func (f *frequencies) reset() {
	*f = frequencies{}
	f.lit[endOfBlock] = 1
}

func (f *frequencies) add(t token) {
	f.tokens++
	if !t.isMatch() {
		f.lit[t&0xff]++
		return
	}
	f.lit[endOfBlock+1+int(lengthCodeOf[t>>16&0xff])]++
	f.dist[distCodeOf(uint32(t&0x7fff))]++
}

// predictKind is the rule of zlib: the smallest, stored before fixed before dynamic, if the bytes are still at hand.
func (b *codeBuilder) predictKind(size int64, atHand bool) int {
	best, fixed := (b.optimal+10)>>3, (b.plain+10)>>3
	if fixed <= best {
		best = fixed
	}
	if size+4 <= best && atHand && size <= maxBlockSize {
		return blockStored
	}
	if fixed == best {
		return blockFixed
	}
	return blockDynamic
}
