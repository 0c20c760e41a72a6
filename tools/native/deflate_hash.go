// SPDX-License-Identifier: Apache-2.0

package main

// Hash chains over the next three or four bytes.

// hashAt is the hash of the bytes at a place.
func (e *engine) hashAt(at int) uint16 {
	switch e.r.hash {
	case hashMultiply:
		return uint16(e.load4(at) * 2654435761 >> 16)
	case hashSpread:
		return uint16((e.load4(at)*66521+66521)>>16) & uint16(1<<e.r.hashBits-1)
	case hashCastagnoli3:
		return uint16(castagnoli(e.load4(at)&0xffffff)) & uint16(1<<e.r.hashBits-1)
	case hashCastagnoli4:
		return uint16(castagnoli(e.load4(at))) & uint16(1<<e.r.hashBits-1)
	}
	shift := (e.r.hashBits + 2) / 3
	h := uint32(e.win[at])<<(2*shift) ^ uint32(e.win[at+1])<<shift ^ uint32(e.win[at+2])
	return uint16(h & (1<<e.r.hashBits - 1))
}

// add puts a place at the head of its chain and returns the head before.
func (e *engine) add(at int) int {
	h := e.hashAt(at)
	old := e.head[h]
	e.prev[at&e.mask&(windowMax-1)] = old
	e.head[h] = uint16(at)
	return int(old)
}

// insertLeft adds the places that had too few bytes behind them when they were passed.
func (e *engine) insertLeft() {
	for at := e.start - e.insert; e.insert > 0; at++ {
		e.add(at)
		e.insert--
		if e.ahead+e.insert < minMatch {
			return
		}
	}
}

var castagnoliTables [4][256]uint32

func init() {
	for k := range castagnoliTables[0] {
		v := uint32(k)
		for bit := 0; bit < 8; bit++ {
			v = v>>1 ^ 0x82f63b78&-(v&1)
		}
		castagnoliTables[0][k] = v
	}
	for k := range castagnoliTables[0] {
		for t := 1; t < 4; t++ {
			below := castagnoliTables[t-1][k]
			castagnoliTables[t][k] = below>>8 ^ castagnoliTables[0][below&0xff]
		}
	}
}

// castagnoli is the CRC-32C of four bytes, from zero and not inverted.
func castagnoli(v uint32) uint32 {
	return castagnoliTables[3][v&0xff] ^ castagnoliTables[2][v>>8&0xff] ^ castagnoliTables[1][v>>16&0xff] ^ castagnoliTables[0][v>>24]
}
