// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"math/bits"
)

// Numbers of the deflate format (RFC 1951, sections 3.2.5 to 3.2.7).
const (
	minMatch     = 3
	maxMatch     = 258
	maxDistance  = 1 << 15
	endOfBlock   = 256
	litLenCodes  = 286
	distCodes    = 30
	lengthCodes  = 19
	maxCodeBits  = 15
	maxBlockSize = 65535
)

// Kinds of a deflate block, as its header says them.
const (
	blockStored = iota
	blockFixed
	blockDynamic
)

var (
	errStream     = errors.New("not a deflate stream that can be described")
	errMalformed  = errors.New("malformed corrections")
	errNoEconomy  = errors.New("corrections would not pay")
	lengthExtra   = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distExtra     = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	repeatExtra   = [lengthCodes]uint8{16: 2, 17: 3, 18: 7}
	repeatBase    = [lengthCodes]int{16: 3, 17: 3, 18: 11}
	lengthOrder   = [lengthCodes]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	lengthBase    [29]uint16
	distBase      [30]uint16
	lengthCodeOf  [256]uint8
	fixedLitLens  [288]uint8
	fixedDistLens [distCodes]uint8
)

func init() {
	base := 0
	for code, extra := range lengthExtra[:28] {
		lengthBase[code] = uint16(base)
		for k := 0; k < 1<<extra; k++ {
			lengthCodeOf[base+k] = uint8(code)
		}
		base += 1 << extra
	}
	lengthBase[28], lengthCodeOf[255] = 255, 28
	base = 0
	for code, extra := range distExtra {
		distBase[code] = uint16(base)
		base += 1 << extra
		fixedDistLens[code] = 5
	}
	for symbol := range fixedLitLens {
		switch {
		case symbol < 144:
			fixedLitLens[symbol] = 8
		case symbol < 256:
			fixedLitLens[symbol] = 9
		case symbol < 280:
			fixedLitLens[symbol] = 7
		default:
			fixedLitLens[symbol] = 8
		}
	}
}

// token is one literal (its byte) or one match (matchFlag, length - 3 in bits 16..23, distance - 1 in bits 0..14).
type token uint32

const matchFlag token = 1 << 31

func matchToken(length, distance int) token {
	return matchFlag | token(length-minMatch)<<16 | token(distance-1)
}

func (t token) isMatch() bool { return t&matchFlag != 0 }
func (t token) distance() int { return int(t&0x7fff) + 1 }

// length is the number of plain bytes that the token stands for.
func (t token) length() int {
	if t&matchFlag == 0 {
		return 1
	}
	return int(t>>16&0xff) + minMatch
}

// distCodeOf names the distance code of a distance less one.
func distCodeOf(less uint32) int {
	if less < 4 {
		return int(less)
	}
	top := bits.Len32(less) - 1
	return 2*top + int(less>>(top-1)&1)
}
