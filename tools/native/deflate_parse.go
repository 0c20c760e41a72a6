// SPDX-License-Identifier: Apache-2.0

package main

// Reading a deflate stream into blocks and tokens, with everything that the plain content does not tell.

const (
	fastLitBits  = 11
	fastDistBits = 9
	maxTokens    = 1 << 25 // in one block: 128 MiB of tokens
)

// codeHeader is the head of a dynamic block: the code lengths and how they were written down.
type codeHeader struct {
	literals  int // number of literal/length code lengths
	distances int
	kept      int                     // how many code length code lengths were written
	small     [lengthCodes]uint8      // code length code lengths, by symbol
	lens      [litLenCodes + 34]uint8 // literals, then distances
	symbols   []uint16                // symbol, extra value << 8
}

func (h *codeHeader) litLens() []uint8  { return h.lens[:h.literals] }
func (h *codeHeader) distLens() []uint8 { return h.lens[h.literals : h.literals+h.distances] }

// block is one deflate block. Its slices are reused by the next one.
type block struct {
	kind   int
	final  bool
	tokens []token
	size   int64 // plain bytes
	pad    uint8 // bits between the header and the length of a stored block
	head   codeHeader
	end    int64 // bits of the stream up to its end
}

// decodeTable decodes one canonical code: a table for short codes, counting for the others.
type decodeTable struct {
	fast  []uint16 // symbol << 4 | length, by the next bits; 0: longer or none
	bits  uint
	count [maxCodeBits + 1]uint16
	order []uint16
}

// build refuses lengths that claim more codes than there are.
func (t *decodeTable) build(lens []uint8, fastBits uint) error {
	t.bits = fastBits
	t.count = [maxCodeBits + 1]uint16{}
	for _, n := range lens {
		t.count[n]++
	}
	t.count[0] = 0
	var code, start [maxCodeBits + 2]uint32
	left := 1
	for n := 1; n <= maxCodeBits; n++ {
		left = left<<1 - int(t.count[n])
		if left < 0 {
			return errStream
		}
		code[n+1] = (code[n] + uint32(t.count[n])) << 1
		start[n+1] = start[n] + uint32(t.count[n])
	}
	if cap(t.fast) < 1<<fastBits {
		t.fast = make([]uint16, 1<<fastBits)
		t.order = make([]uint16, litLenCodes+2)
	}
	t.fast = t.fast[:1<<fastBits]
	clear(t.fast)
	for symbol, n := range lens {
		if n == 0 {
			continue
		}
		t.order[start[n]] = uint16(symbol)
		start[n]++
		if uint(n) <= fastBits {
			for k := reverseBits(code[n], uint(n)); k < 1<<fastBits; k += 1 << n {
				t.fast[k] = uint16(symbol)<<4 | uint16(n)
			}
		}
		code[n]++
	}
	return nil
}

// decode gives the next symbol, or -1 where the bits are no code. The reader must hold maxCodeBits bits unless it is at its end.
func (t *decodeTable) decode(r *bitReader) int {
	if entry := t.fast[r.hold&(1<<t.bits-1)]; entry != 0 {
		r.drop(uint(entry & 15))
		return int(entry >> 4)
	}
	code, first, index := 0, 0, 0
	for n := 1; n <= maxCodeBits; n++ {
		code |= int(r.hold>>(n-1)) & 1
		count := int(t.count[n])
		if code-first < count {
			r.drop(uint(n))
			return int(t.order[index+code-first])
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return -1
}

func reverseBits(code uint32, n uint) (reversed uint32) {
	for ; n > 0; n-- {
		reversed = reversed<<1 | code&1
		code >>= 1
	}
	return reversed
}

// parser gives the blocks of one stream, one by one.
type parser struct {
	in        bitReader
	block     block
	plain     int64 // plain bytes up to the end of the block
	limit     int64 // of plain bytes
	enough    int64 // plain bytes after which a block may be left unfinished, for a short look
	tail      uint8 // bits after the last block
	lit, dist decodeTable
	small     decodeTable
}

func newParser(coded []byte, limit int64) *parser {
	return &parser{in: bitReader{data: coded}, limit: limit, enough: limit + 1}
}

// next reads the next block. Matches are checked to stay inside the plain content, bytes are not looked at.
func (p *parser) next() (*block, error) {
	b := &p.block
	b.final = p.in.take(1) == 1
	b.kind = int(p.in.take(2))
	b.tokens = b.tokens[:0]
	b.size, b.pad = 0, 0
	var err error
	switch b.kind {
	case blockStored:
		err = p.stored(b)
	case blockFixed:
		if err = p.lit.build(fixedLitLens[:], fastLitBits); err == nil {
			err = p.dist.build(fixedDistLens[:], fastDistBits)
		}
		if err == nil {
			err = p.coded(b)
		}
	case blockDynamic:
		if err = p.readHeader(&b.head); err == nil {
			err = p.coded(b)
		}
	default:
		err = errStream
	}
	if err == nil && (p.in.over || p.plain+b.size > p.limit) {
		err = errStream
	}
	if err != nil {
		return nil, err
	}
	p.plain += b.size
	b.end = p.in.position()
	if b.final {
		p.tail = p.in.align()
		if int(p.in.position()>>3) != len(p.in.data) {
			return nil, errStream
		}
	}
	return b, nil
}

func (p *parser) stored(b *block) error {
	b.pad = p.in.align()
	head := p.in.bytes(4)
	if head == nil || head[0] != ^head[2] || head[1] != ^head[3] {
		return errStream
	}
	b.size = int64(head[0]) | int64(head[1])<<8
	p.in.bytes(int(b.size))
	return nil
}

// coded reads tokens up to the end of the block.
func (p *parser) coded(b *block) error {
	in, room, size := &p.in, p.limit-p.plain, int64(0)
	for {
		in.refill()
		symbol := p.lit.decode(in)
		if symbol < endOfBlock {
			if symbol < 0 || in.over || size >= room {
				return errStream
			}
			b.tokens = append(b.tokens, token(symbol))
			size++
			if len(b.tokens) >= maxTokens {
				return errStream
			}
			continue
		}
		if symbol == endOfBlock {
			b.size = size
			return nil
		}
		if symbol >= litLenCodes {
			return errStream
		}
		code := symbol - endOfBlock - 1
		length := int(lengthBase[code]) + int(in.take(uint(lengthExtra[code]))) + minMatch
		if code == 27 && length == maxMatch { // the long way to write 258: tokens cannot tell it
			return errStream
		}
		in.refill()
		far := p.dist.decode(in)
		if far < 0 || far >= distCodes {
			return errStream
		}
		distance := int(distBase[far]) + int(in.take(uint(distExtra[far]))) + 1
		if int64(distance) > p.plain+size || int64(length) > room-size || in.over {
			return errStream
		}
		size += int64(length)
		b.tokens = append(b.tokens, matchToken(length, distance))
		if p.plain+size > p.enough {
			b.size, b.final = size, false
			return nil
		}
		if len(b.tokens) >= maxTokens {
			return errStream
		}
	}
}

// readHeader reads the code lengths of a dynamic block and builds its two codes.
func (p *parser) readHeader(h *codeHeader) error {
	in := &p.in
	h.literals = int(in.take(5)) + 257
	h.distances = int(in.take(5)) + 1
	h.kept = int(in.take(4)) + 4
	if h.literals > litLenCodes {
		return errStream
	}
	h.small = [lengthCodes]uint8{}
	for _, symbol := range lengthOrder[:h.kept] {
		h.small[symbol] = uint8(in.take(3))
	}
	if err := p.small.build(h.small[:], 7); err != nil {
		return err
	}
	h.symbols = h.symbols[:0]
	total := h.literals + h.distances
	for n := 0; n < total; {
		in.refill()
		symbol := p.small.decode(in)
		if symbol < 0 || in.over || symbol == 16 && n == 0 {
			return errStream
		}
		extra := int(in.take(uint(repeatExtra[symbol])))
		h.symbols = append(h.symbols, uint16(symbol|extra<<8))
		var ok bool
		if n, ok = h.spread(n, symbol, extra, total); !ok {
			return errStream
		}
	}
	if err := p.lit.build(h.litLens(), fastLitBits); err != nil {
		return err
	}
	return p.dist.build(h.distLens(), fastDistBits)
}

// spread writes the code lengths that one symbol stands for, from index n on.
func (h *codeHeader) spread(n, symbol, extra, total int) (int, bool) {
	if symbol < 16 {
		h.lens[n] = uint8(symbol)
		return n + 1, true
	}
	value := uint8(0)
	if symbol == 16 {
		value = h.lens[n-1]
	}
	end := n + repeatBase[symbol] + extra
	if end > total {
		return n, false
	}
	for ; n < end; n++ {
		h.lens[n] = value
	}
	return n, true
}
