// SPDX-License-Identifier: Apache-2.0

package main

// tokenCodes are the bits of every token of a block, without the extra bits of distances.
type tokenCodes struct {
	lit    [litLenCodes]uint32 // code | bits << 16
	length [maxMatch - minMatch + 1]uint64
	dist   [32]uint32
	none   bool
}

// setCodes gives each symbol its canonical code, first bit lowest, and its length << 16.
func setCodes(codes []uint32, lens []uint8) {
	var count, next [maxCodeBits + 2]uint32
	for _, n := range lens {
		count[n]++
	}
	count[0] = 0
	for n := 1; n <= maxCodeBits; n++ {
		next[n+1] = (next[n] + count[n]) << 1
	}
	for symbol := range codes {
		codes[symbol] = 0
		if symbol < len(lens) && lens[symbol] > 0 {
			n := uint(lens[symbol])
			codes[symbol] = reverseBits(next[n], n) | uint32(n)<<16
			next[n]++
		}
	}
}

func (c *tokenCodes) set(lit, dist []uint8) {
	setCodes(c.lit[:], lit)
	setCodes(c.dist[:], dist)
	for k := range c.length {
		code := lengthCodeOf[k]
		entry := c.lit[endOfBlock+1+int(code)]
		n := entry >> 16
		if n == 0 {
			c.length[k] = 0
			continue
		}
		c.length[k] = uint64(entry&0xffff) | uint64(k-int(lengthBase[code]))<<n | uint64(n+uint32(lengthExtra[code]))<<32
	}
}

// write puts all tokens and the end of the block; a token without a code is refused.
func (c *tokenCodes) write(out *bitWriter, tokens []token) error {
	for _, t := range tokens {
		if !t.isMatch() {
			entry := c.lit[t&0xff]
			if entry == 0 {
				return errMalformed
			}
			out.put(entry&0xffff, uint(entry>>16))
			continue
		}
		less := uint32(t & 0x7fff)
		code := distCodeOf(less)
		length, far := c.length[t>>16&0xff], c.dist[code]
		if length == 0 || far == 0 {
			return errMalformed
		}
		out.put(uint32(length), uint(length>>32))
		out.put(far&0xffff|(less-uint32(distBase[code]))<<(far>>16), uint(far>>16)+uint(distExtra[code]))
	}
	if c.lit[endOfBlock] == 0 {
		return errMalformed
	}
	out.put(c.lit[endOfBlock]&0xffff, uint(c.lit[endOfBlock]>>16))
	return nil
}
