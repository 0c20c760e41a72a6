// SPDX-License-Identifier: Apache-2.0

package main

// How a stream was made: the parameters of the simulation, and the known makers.

// Methods of finding matches.
const (
	methodBytes  = iota // literals only
	methodRuns          // zlib's Z_RLE
	methodFast          // zlib 1 to 3
	methodSlow          // zlib 4 to 9
	methodQuick         // zlib-ng 1
	methodBrisk         // zlib-ng 2
	methodMedium        // zlib-ng 3 to 6
	methodLazy          // zlib-ng 7 to 9
	methodCount
)

// Hashes of the next bytes.
const (
	hashRolling     = iota // zlib: three bytes, shifted and xored
	hashMultiply           // zlib-ng: four bytes, multiplied
	hashCastagnoli3        // older Chromium, level 6 and up: CRC-32C of three bytes
	hashCastagnoli4        // the same below level 6, of four bytes
	hashSpread             // newer Chromium: four bytes, multiplied and added
	hashCount
)

// Rules for the end of a block.
const (
	endByTokens = iota // the token buffer is full
	endByGzip          // GNU gzip: that, or the block compresses well so far
	endByBytes         // a fixed number of plain bytes
	endNever
	endCount
)

// recipe is how a stream was made, as far as it was found out. It stands at the head of the corrections.
type recipe struct {
	method     uint8
	hash       uint8
	hashBits   uint8
	windowBits uint8
	good       uint16
	lazy       uint16
	nice       uint16
	chain      uint16
	level      uint8 // only where zlib-ng asks for it
	tooFar     uint16
	end        uint8
	endAt      uint32
	write      uint32 // bytes given to the compressor at a time, 0: all
	room       uint32 // bytes of its output buffer, 0: without end
	flushLast  bool   // flushed before it was finished
	forget     bool   // flushing in between forgets what was before
	weak       uint8  // lazy matches up to this length are given up (Z_FILTERED)
}

// valid keeps a hostile recipe within what the simulation was made for.
func (r *recipe) valid() bool {
	return r.method < methodCount && r.hash < hashCount && r.hashBits >= 8 && r.hashBits <= 16 && r.windowBits >= 9 && r.windowBits <= 15 &&
		r.chain >= 1 && r.chain <= 4096 && r.end < endCount && r.endAt >= 1 && r.endAt <= maxTokens &&
		r.lazy <= maxMatch && r.room <= 1<<30 && r.level <= 9
}

// Finding out how a stream was made: every known way is tried on its beginning, and the one with the fewest corrections wins.

type tuning struct{ good, lazy, nice, chain uint16 }

// zlibTunings are the levels of zlib, 1 to 9; GNU gzip and Chromium have the same.
var zlibTunings = [10]tuning{
	1: {4, 4, 8, 4}, 2: {4, 5, 16, 8}, 3: {4, 6, 32, 32},
	4: {4, 4, 16, 16}, 5: {8, 16, 32, 32}, 6: {8, 16, 128, 128}, 7: {8, 32, 128, 256}, 8: {32, 128, 258, 1024}, 9: {32, 258, 258, 4096},
}

// ngTunings are the levels of zlib-ng 2.1 and later and of zlib-rs.
var ngTunings = [10]tuning{
	1: {4, 4, 8, 4}, 2: {4, 4, 8, 4}, 3: {4, 6, 16, 6},
	4: {4, 12, 32, 24}, 5: {8, 16, 32, 32}, 6: {8, 16, 128, 128}, 7: {8, 32, 128, 256}, 8: {32, 128, 258, 1024}, 9: {32, 258, 258, 4096},
}

const (
	zlibTooFar  = 4096
	gzipTokens  = 1 << 15
	usualTokens = 1<<14 - 1
)

func (r recipe) tuned(t tuning) recipe {
	r.good, r.lazy, r.nice, r.chain = t.good, t.lazy, t.nice, t.chain
	return r
}

// zlibRecipe is a level of zlib with a hash.
func zlibRecipe(level int, hash, hashBits uint8) recipe {
	r := recipe{method: methodSlow, hash: hash, hashBits: hashBits, windowBits: 15, level: uint8(level), tooFar: zlibTooFar, endAt: usualTokens}
	if level <= 3 {
		r.method = methodFast
	}
	return r.tuned(zlibTunings[level])
}

func gzipRecipe(level int) recipe {
	r := zlibRecipe(level, hashRolling, 15)
	r.end, r.endAt = endByGzip, gzipTokens
	return r
}

// ngRecipe is a level of zlib-ng or zlib-rs.
func ngRecipe(level int) recipe {
	r := recipe{method: methodMedium, hash: hashMultiply, hashBits: 16, windowBits: 15, level: uint8(level), endAt: usualTokens}
	switch {
	case level == 1:
		r.method, r.end, r.endAt = methodQuick, endNever, 1
	case level == 2:
		r.method = methodBrisk
	case level == 9:
		r.method, r.hash, r.hashBits = methodLazy, hashRolling, 15
	case level >= 7:
		r.method = methodLazy
	}
	return r.tuned(ngTunings[level])
}

// fed says how the maker was given its input and room for its output.
func (r recipe) fed(write, room uint32, flushLast bool) recipe {
	r.write, r.room, r.flushLast = write, room, flushLast
	return r
}

// How Rust's flate2 writes what std::io::copy gives it.
const (
	flateWrite = 8 << 10
	flateRoom  = 32 << 10
)

// chromiumHash is what Chromium's zlib took before 2022.
func chromiumHash(level int) uint8 {
	if level >= 6 {
		return hashCastagnoli3
	}
	return hashCastagnoli4
}

// knownRecipes has a number for each recipe that the format names shortly. Its order is part of the format.
func knownRecipes() (list []recipe) {
	for level := 1; level <= 9; level++ {
		for _, hash := range []uint8{hashRolling, hashSpread, chromiumHash(level)} {
			list = append(list, zlibRecipe(level, hash, 15))
		}
		list = append(list, gzipRecipe(level), ngRecipe(level), ngRecipe(level).fed(flateWrite, flateRoom, true))
	}
	runs := recipe{method: methodRuns, hashBits: 15, windowBits: 15, chain: 1, endAt: usualTokens}
	plain := runs
	plain.method = methodBytes
	return append(list, runs, plain)
}

const recipeFields = 17

// numbers are the recipe in the order in which it is written.
func (r *recipe) numbers() [recipeFields]uint32 {
	return [recipeFields]uint32{uint32(r.method), uint32(r.hash), uint32(r.hashBits), uint32(r.windowBits), uint32(r.good), uint32(r.lazy),
		uint32(r.nice), uint32(r.chain), uint32(r.level), uint32(r.tooFar), uint32(r.end), r.endAt, r.write, r.room, truth(r.flushLast),
		truth(r.forget), uint32(r.weak)}
}

func recipeOf(v [recipeFields]uint32) recipe {
	return recipe{method: uint8(v[0]), hash: uint8(v[1]), hashBits: uint8(v[2]), windowBits: uint8(v[3]), good: uint16(v[4]), lazy: uint16(v[5]),
		nice: uint16(v[6]), chain: uint16(v[7]), level: uint8(v[8]), tooFar: uint16(v[9]), end: uint8(v[10]), endAt: v[11], write: v[12], room: v[13],
		flushLast: v[14] == 1, forget: v[15] == 1, weak: uint8(v[16])}
}

func truth(v bool) uint32 {
	if v {
		return 1
	}
	return 0
}

// writeTo names the known recipe that is nearest, and the fields that differ.
func (r *recipe) writeTo(to *column) {
	is, best, fewest := r.numbers(), 0, recipeFields+1
	known := knownRecipes()
	for k := range known {
		was, differ := known[k].numbers(), 0
		for f := range is {
			if is[f] != was[f] {
				differ++
			}
		}
		if differ < fewest {
			best, fewest = k, differ
		}
	}
	was, mask := known[best].numbers(), uint64(0)
	for f := range is {
		if is[f] != was[f] {
			mask |= 1 << f
		}
	}
	to.add(uint64(best))
	to.add(mask)
	for f := range is {
		if mask>>f&1 == 1 {
			to.add(uint64(is[f]))
		}
	}
}

func readRecipe(from *column) recipe {
	known := knownRecipes()
	v := known[min(from.take(), uint64(len(known)-1))].numbers()
	mask := from.take()
	for f := range v {
		if mask>>f&1 == 1 {
			v[f] = uint32(from.take())
		}
	}
	if mask>>recipeFields != 0 {
		from.broken = true
	}
	return recipeOf(v)
}
