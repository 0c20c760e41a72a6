// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"index/suffixarray"
	"reflect"
	"sort"
	"unsafe"
)

// Candidates are judged by how many of so many words after them are alike.
const (
	judgedWords = 4
	gainLeast   = 4 // bytes by which a candidate must be better than the lane that is there
	depthMost   = 8 // candidates at one position
)

// choice is the best of several candidates for one position.
type choice struct {
	p           *path
	i           int
	word        uint64
	home        int // the shift of the cheapest lane
	score       int
	shift, away int
	found       bool
}

func newChoice(p *path, i int, word uint64) choice {
	c := choice{p: p, i: i, word: word, score: -1}
	if p.best >= 0 {
		c.home = p.lanes[p.best].shift
		if o := i + c.home; o+8 <= len(p.old) {
			c.score = alike(p.new[i:], p.old[o:], judgedWords)
		}
	}
	return c
}

// consider judges place o of the old file; false when not even the next eight bytes are the same.
func (c *choice) consider(o int) bool {
	p, i := c.p, c.i
	if o+8 > len(p.old) || binary.LittleEndian.Uint64(p.old[o:]) != c.word {
		return false
	}
	score := alike(p.new[i:], p.old[o:], judgedWords)
	if i >= 8 && o >= 8 {
		score += alike(p.new[i-8:i], p.old[o-8:o], 1)
	}
	away := o - i - c.home
	if away < 0 {
		away = -away
	}
	if score > c.score || score == c.score && c.found && away < c.away {
		c.score, c.shift, c.away, c.found = score, o-i, away, true
	}
	return true
}

// samples know one in four words of the old file, those that a hash chooses, so that the new file looks only for these.
type samples struct {
	old   []byte
	shift uint
	head  []int32  // by hash: the last sample; 0 is none
	entry []uint64 // by sample: some bits of its hash, the sample before with the same place in head, its place
	// Most words of a new file that are looked for are not there; this says so without another look into memory.
	perhaps []uint64
}

const (
	sampleBits  = 2
	multiplier  = 0x9E3779B97F4A7C15
	placeBits   = 29 // alignLimit
	beforeBits  = 29 // a file whose every word is sampled has as many samples as places
	tagBits     = 64 - placeBits - beforeBits
	perhapsBits = 3 // so many times as many bits as places in head, as a power of two
)

func newSamples(old []byte) *samples {
	size := uint(10)
	for 1<<size < len(old)>>sampleBits {
		size++
	}
	s := &samples{old: old, shift: 64 - size - sampleBits, head: make([]int32, 1<<size), perhaps: make([]uint64, 1<<(size+perhapsBits-6))}
	s.entry = make([]uint64, 1, len(old)>>sampleBits+len(old)>>(sampleBits+3)+16)
	// First a stretch's samples are chosen without a branch, which would be guessed wrongly most times, then all of them are stored.
	var chosen [1 << 10]int32
	for from := 0; from+8 <= len(old); from += len(chosen) {
		count := 0
		for i := from; i < from+len(chosen) && i+8 <= len(old); i++ {
			chosen[count&(len(chosen)-1)] = int32(i)
			count += int((binary.LittleEndian.Uint64(old[i:])*multiplier>>(64-sampleBits) - 1) >> 63)
		}
		for _, i := range chosen[:count] {
			hash := binary.LittleEndian.Uint64(old[i:]) * multiplier
			h, bit := hash>>s.shift, hash>>(s.shift-perhapsBits)
			s.perhaps[bit>>6] |= 1 << (bit & 63)
			s.entry = append(s.entry, s.tag(hash)<<(64-tagBits)|uint64(s.head[h])<<placeBits|uint64(i))
			s.head[h] = int32(len(s.entry) - 1)
		}
	}
	return s
}

// tag is what an entry tells of the hash beyond its place in head.
func (s *samples) tag(hash uint64) uint64 { return hash >> (s.shift - tagBits) & (1<<tagBits - 1) }

func (s *samples) wants(word uint64) bool { return word*multiplier>>(64-sampleBits) == 0 }

func (s *samples) look(p *path, i int, word uint64) {
	hash := word * multiplier
	if bit := hash >> (s.shift - perhapsBits); s.perhaps[bit>>6]>>(bit&63)&1 == 0 {
		return
	}
	tag := s.tag(hash)
	var c choice
	k := s.head[hash>>s.shift]
	for n := 0; n < depthMost && k != 0; n++ {
		entry := s.entry[k]
		if entry>>(64-tagBits) == tag {
			if c.p == nil {
				c = newChoice(p, i, word)
				c.score += gainLeast
			}
			c.consider(int(entry & (1<<placeBits - 1)))
		}
		k = int32(entry >> placeBits & (1<<beforeBits - 1))
	}
	if c.found {
		p.add(c.shift, i)
	}
}

// suffixes know every place of the old file, in the order of what follows.
type suffixes struct {
	old   []byte
	order []int32
}

const (
	comparedMost = 1024 // bytes of a suffix
	longLeast    = 32   // bytes from which the longest match is a candidate whatever stands around it
)

func newSuffixes(old []byte) (*suffixes, error) {
	if len(old) == 0 {
		return &suffixes{}, nil
	}
	order, err := suffixOrder(old)
	return &suffixes{old, order}, err
}

// suffixOrder is the array that index/suffixarray makes in linear time and keeps to itself. A test tells when a later Go keeps it elsewhere.
func suffixOrder(data []byte) ([]int32, error) {
	index := reflect.ValueOf(suffixarray.New(data)).Elem().FieldByName("sa")
	if index.IsValid() {
		index = index.FieldByName("int32")
	}
	if !index.IsValid() || index.Len() != len(data) {
		return nil, errors.New("this version of Go keeps its suffix array in another place")
	}
	return unsafe.Slice((*int32)(index.UnsafePointer()), index.Len()), nil
}

func (s *suffixes) wants(uint64) bool { return len(s.order) > 0 }

func (s *suffixes) look(p *path, i int, word uint64) {
	c := newChoice(p, i, word)
	if c.score == 8*judgedWords {
		return
	}
	c.score += gainLeast
	wanted := p.new[i:min(len(p.new), i+comparedMost)]
	rank, length := s.longest(wanted)
	if length < 8 {
		return
	}
	for k := 0; k < depthMost && rank-k >= 0 && c.consider(int(s.order[rank-k])); k++ {
	}
	for k := 1; k < depthMost && rank+k < len(s.order) && c.consider(int(s.order[rank+k])); k++ {
	}
	if length >= longLeast {
		p.add(int(s.order[rank])-i, i)
	}
	if c.found {
		p.add(c.shift, i)
	}
}

// longest is the rank of the suffix that begins as wanted does for longest, and for how long.
func (s *suffixes) longest(wanted []byte) (rank, length int) {
	low, high := 0, 0 // bytes alike at both ends of the range that is left
	left, right := 0, len(s.order)
	for left < right {
		middle := int(uint(left+right) >> 1)
		place := int(s.order[middle])
		n := min(low, high)
		n += matching(wanted[n:], s.old[min(place+n, len(s.old)):])
		if n == len(wanted) || place+n < len(s.old) && s.old[place+n] > wanted[n] {
			right, high = middle, n
		} else {
			left, low = middle+1, n
		}
	}
	if left == len(s.order) || left > 0 && low > high {
		return left - 1, low
	}
	return left, high
}

// surroundings look around the shift that was good last where the path has become dear: small moves that no word of eight bytes tells.
type surroundings struct {
	home, next, wait int
}

const (
	aroundBytes = 512 // how far
	aroundWords = 8   // judged
	aroundMost  = 4   // candidates
	dear        = 1024
)

func (s *surroundings) look(p *path, i int) {
	if i < s.next || i < 128 {
		return
	}
	if p.rise(i, 128) < dear {
		s.next, s.wait = i+16, 0
		return
	}
	before := p.new[i-8*aroundWords : i]
	var shifts []struct{ alike, shift int }
	for shift := s.home - aroundBytes; shift <= s.home+aroundBytes; shift++ {
		o := i - len(before) + shift
		if o < 0 || o+len(before) > len(p.old) {
			continue
		}
		if n := alike(before, p.old[o:], aroundWords); n >= 2*aroundWords {
			shifts = append(shifts, struct{ alike, shift int }{n, shift})
		}
	}
	sort.SliceStable(shifts, func(a, b int) bool { return shifts[a].alike > shifts[b].alike })
	for _, one := range shifts[:min(len(shifts), aroundMost)] {
		p.add(one.shift, i)
	}
	s.wait = min(s.wait*2+64, 4096)
	s.next = i + s.wait
}
