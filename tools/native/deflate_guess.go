// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
)

// Finding out how a stream was made: every known way is tried on its beginning, and the one with the fewest corrections wins.

const (
	shortTrial = 1 << 16
	longTrial  = 1 << 20
)

// guess finds the recipe with the fewest corrections on the beginning of the stream.
func (s *survey) guess(plain, coded []byte) recipe {
	list := s.candidates(int64(len(plain)))
	if len(placesBefore(s.places, int64(len(plain)))) > 0 {
		for _, r := range list {
			r.forget = true
			list = append(list, r)
		}
	}
	list = s.best(plain, coded, list, shortTrial)
	if list = s.best(plain, coded, list, longTrial); list[0].method == methodMedium {
		list = s.best(plain, coded, list[0].feeds(), longTrial)
	}
	return list[0]
}

// feeds are the usual ways to give a medium method its input, on which its output depends.
func (r recipe) feeds() []recipe {
	list := []recipe{r}
	for _, write := range []uint32{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 80 << 10, 128 << 10, 0} {
		list = append(list, r.fed(write, 0, false), r.fed(write, 32<<10, true), r.fed(write, 8<<10, false))
	}
	return list
}

// best tries all and returns those that come near the best, the best one first.
func (s *survey) best(plain, coded []byte, list []recipe, until int64) (near []recipe) {
	if len(list) == 1 {
		return list
	}
	scores := make([]int, len(list))
	winner := 0
	for k := range scores {
		scores[k] = 1 << 30
	}
	for k, r := range list {
		scores[k] = s.trial(plain, coded, r, until, scores[winner]+scores[winner]/4+4)
		if scores[k] < scores[winner] {
			winner = k
		}
		if scores[winner] == 0 && until == longTrial {
			return []recipe{list[winner]}
		}
	}
	near = append(near, list[winner])
	for k, r := range list {
		if k != winner && scores[k] <= scores[winner]+scores[winner]/4+4 {
			near = append(near, r)
		}
	}
	return near
}

// trial counts corrections up to a place, and stops at most.
func (s *survey) trial(plain, coded []byte, r recipe, until int64, most int) int {
	n := newNoter(int64(len(plain)), coded, r, s)
	n.until, n.most, n.trial = until, most, true
	n.parser.enough = until + maxMatch
	e := newEngine(r, bytes.NewReader(plain), int64(len(plain)), n)
	if err := e.run(placesBefore(s.places, int64(len(plain)))); err != nil {
		return 1 << 30
	}
	return n.events
}

// candidates are the ways worth trying for a stream, the likely ones first.
func (s *survey) candidates(plain int64) (list []recipe) {
	matches, threes := 0, s.shortest[3]
	for _, n := range s.shortest {
		matches += n
	}
	if matches == 0 {
		return []recipe{s.bytesRecipe()}
	}
	end, tokens := s.blockRule()
	for _, level := range []int{6, 9, 5, 8, 7, 4, 3, 2, 1} {
		if threes*50 < matches || level == 9 {
			list = append(list, ngRecipe(level))
			if level == 6 {
				list = append(list, ngRecipe(level).fed(flateWrite, flateRoom, true))
			}
		}
		list = append(list, zlibRecipe(level, hashRolling, s.hashBits(tokens)), zlibRecipe(level, hashSpread, 15),
			zlibRecipe(level, chromiumHash(level), 15))
		if s.likeGzip() {
			list = append(list, gzipRecipe(level))
		}
		if s.shortest[4]+s.shortest[5]+threes == 0 && level >= 4 {
			filtered := zlibRecipe(level, hashRolling, s.hashBits(tokens))
			filtered.weak = 5
			list = append(list, filtered)
		}
	}
	if s.farthest == 1 {
		list = []recipe{{method: methodRuns, hashBits: 15, windowBits: 15, chain: 1}}
	}
	window := s.window(plain)
	for k := range list {
		if r := &list[k]; r.method != methodQuick && r.end != endByGzip {
			r.end, r.endAt = end, tokens
		}
		list[k].windowBits = window
	}
	return list
}

// window is the smallest one that the distances allow, if they are so short that it matters.
func (s *survey) window(plain int64) uint8 {
	for bits := uint8(9); bits < 15; bits++ {
		if s.farthest <= 1<<bits-minLookahead && plain >= 4<<bits && s.farthest > 1<<bits-minLookahead-64 {
			return bits
		}
	}
	return 15
}

// blockRule guesses from the blocks' sizes when a block ends.
func (s *survey) blockRule() (end uint8, at uint32) {
	counts := map[int]int{}
	most := 0
	for _, n := range s.tokens {
		if n > 0 {
			counts[n]++
			most = max(most, n)
		}
	}
	usual := 0
	for n, count := range counts {
		if count > counts[usual] || count == counts[usual] && n > usual {
			usual = n
		}
	}
	switch {
	case counts[usual] > 1 && (usual == most || counts[usual]*3 >= len(s.tokens)):
		return endByTokens, uint32(usual)
	case most < usualTokens:
		return endByTokens, usualTokens
	case len(s.tokens) > 1 && most == s.tokens[0]:
		return endByTokens, uint32(most)
	}
	return endNever, 1
}

// likeGzip reports that all blocks but the last have a number of tokens at which GNU gzip may end one.
func (s *survey) likeGzip() bool {
	for k, n := range s.tokens {
		if k < len(s.tokens)-1 && n > 0 && n != gzipTokens-1 && n&0xfff != 0 || n >= gzipTokens {
			return false
		}
	}
	return len(s.tokens) > 1 || s.tokens[0] > usualTokens
}

// hashBits is what zlib takes at the memory level that fits the number of tokens in a block.
func (s *survey) hashBits(tokens uint32) uint8 {
	for level := 1; level <= 9; level++ {
		if tokens == 1<<(level+6)-1 {
			return uint8(level + 7)
		}
	}
	return 15
}

// bytesRecipe is for streams without matches.
func (s *survey) bytesRecipe() recipe {
	r := recipe{method: methodBytes, hashBits: 15, windowBits: 15, chain: 1, endAt: usualTokens}
	if s.stored > 0 && s.stored == len(s.sizes) {
		most := 1
		for _, n := range s.sizes {
			most = max(most, n)
		}
		r.end, r.endAt = endByBytes, uint32(most)
	}
	return r
}
