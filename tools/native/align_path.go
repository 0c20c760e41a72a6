// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Costs in sixteenths of a byte, as measured on programs, wheels and debs: what the coded delta grows by.
const (
	costRecord   = 64 // another record
	costEnter    = 16 // extra bytes after a copy
	costExtra    = 9  // an extra byte: they are compressed against the old file
	costRepeated = 4  // a difference that stood four or eight bytes before, as in tables of addresses
	costFirst    = 8  // a first differing byte
	costFurther  = 1  // one in a run of them
	costOutside  = 1 << 20
)

const (
	lanesMost      = 8
	rememberedBits = 10
	remembered     = 1 << rememberedBits
)

const (
	noNode     = int32(-1)
	extraShift = int32(math.MinInt32) // the shift of bytes that come from nowhere
)

// node is one stretch of a possible result: it begins at start with its shift, after the stretch parent.
type node struct{ shift, start, parent int32 }

// lane is a possible result that ends with a copy: byte i of the new file comes from i+shift of the old one.
type lane struct {
	shift         int
	cost          int64
	run           int // differing bytes on end
	start, parent int32
	node          int32
}

type path struct {
	old, new []byte
	lanes    []lane
	extra    lane
	best     int               // number of the cheapest lane, -1 for extra
	cost     [remembered]int64 // of the cheapest result before each of the last positions
	at       [remembered]int32 // its node
	nodes    []node
	seen     [256]int32 // differences that were seen
	value    [256]int64 // what each costs by that
	fresh    int
}

func newPath(old, new []byte) *path {
	p := &path{old: old, new: new, lanes: make([]lane, 0, lanesMost), extra: lane{node: noNode, parent: noNode}, best: -1}
	p.mark(0)
	p.learn()
	return p
}

func (p *path) isAlone() bool { return len(p.lanes) == 1 && p.best == 0 }

// rise is by how much the cheapest result became dearer in the last n positions.
func (p *path) rise(i, n int) int64 {
	return p.cost[i&(remembered-1)] - p.cost[(i-n)&(remembered-1)]
}

func (p *path) mark(i int) {
	b := &p.extra
	if p.best >= 0 {
		b = &p.lanes[p.best]
	}
	if b.node < 0 {
		shift := extraShift
		if p.best >= 0 {
			shift = int32(b.shift)
		}
		b.node = int32(len(p.nodes))
		p.nodes = append(p.nodes, node{shift, b.start, b.parent})
	}
	p.cost[i&(remembered-1)] = b.cost
	p.at[i&(remembered-1)] = b.node
}

// differing is what byte i costs on a shift where it is not the same, after run differing ones.
func (p *path) differing(i, o, run int) int64 {
	v := p.new[i] - p.old[o]
	if i >= 8 && o >= 8 && (p.new[i-4]-p.old[o-4] == v || p.new[i-8]-p.old[o-8] == v) {
		return costRepeated
	}
	if run == 0 {
		return costFirst + p.value[v]
	}
	return costFurther + p.value[v]
}

// step takes byte i into every lane, and drops the lanes from which it would be cheaper to have changed.
func (p *path) step(i int) {
	if c := p.cost[i&(remembered-1)] + costEnter; p.best >= 0 && c <= p.extra.cost {
		p.extra = lane{cost: c, start: int32(i), parent: p.at[i&(remembered-1)], node: noNode}
	}
	p.extra.cost += costExtra
	low, which := p.extra.cost, -1
	for k := range p.lanes {
		l := &p.lanes[k]
		o := i + l.shift
		switch {
		case uint(o) >= uint(len(p.old)):
			l.cost += costOutside
		case p.old[o] == p.new[i]:
			l.run = 0
		default:
			l.cost += p.differing(i, o, l.run)
			if l.run++; k == p.best {
				p.seen[p.new[i]-p.old[o]]++
				p.fresh++
			}
		}
		if l.cost < low || l.cost == low && which < 0 {
			low, which = l.cost, k
		}
	}
	kept := 0
	for k := range p.lanes {
		if p.lanes[k].cost <= low+costRecord {
			if k == which {
				which = kept
			}
			p.lanes[kept] = p.lanes[k]
			kept++
		}
	}
	p.lanes = p.lanes[:kept]
	p.best = which
	p.mark(i + 1)
	if p.fresh >= 1024 {
		p.learn()
	}
}

// learn sets what differences cost by how often they were seen.
func (p *path) learn() {
	p.fresh = 0
	total := 0.0
	for _, n := range p.seen {
		total += float64(n) + 4
	}
	for v := range p.seen {
		p.value[v] = int64(-math.Log2((float64(p.seen[v])+4)/total) * 2)
		if total > 17*1024 {
			p.seen[v] /= 2
		}
	}
}

// ahead takes all bytes from i on that are the same in the only lane, and returns how many they are.
func (p *path) ahead(i int) int {
	l := &p.lanes[0]
	if i+l.shift >= len(p.old) {
		return 0
	}
	n := matching(p.new[i:], p.old[i+l.shift:])
	if n == 0 {
		return 0
	}
	l.run = 0
	for k := max(i+1, i+n-remembered+1); k <= i+n; k++ {
		p.cost[k&(remembered-1)] = l.cost
		p.at[k&(remembered-1)] = l.node
	}
	if c := p.extra.cost + int64(n)*costExtra; c < l.cost+costEnter {
		p.extra.cost = c
	} else {
		p.extra = lane{cost: l.cost + costEnter, start: int32(i + n), parent: l.node, node: noNode}
	}
	return n
}

// add offers a shift at position i. The lane begins where changing to it would have been cheapest, which is sought backwards.
func (p *path) add(shift, i int) {
	for k := range p.lanes {
		if p.lanes[k].shift == shift {
			return
		}
	}
	at, low := i, p.cost[i&(remembered-1)]+costRecord
	last, calm := low, 0
	var behind int64
	run := 0
	for q := i - 1; q >= max(0, -shift, i-remembered+1); q-- {
		if p.new[q] == p.old[q+shift] {
			run = 0
		} else {
			behind += p.differing(q, q+shift, run)
			run++
		}
		c := p.cost[q&(remembered-1)] + costRecord
		if c == last {
			if calm++; calm > 64 {
				break
			}
		} else {
			last, calm = c, 0
		}
		if c += behind; c < low {
			low, at = c, q
		} else if c > low+12*16 {
			break
		}
	}
	fresh := lane{shift: shift, cost: low, start: int32(at), parent: p.at[at&(remembered-1)], node: noNode}
	if len(p.lanes) < lanesMost {
		p.lanes = append(p.lanes, fresh)
		return
	}
	worst := -1
	for k := range p.lanes {
		if k != p.best && (worst < 0 || p.lanes[k].cost > p.lanes[worst].cost) {
			worst = k
		}
	}
	if p.lanes[worst].cost >= fresh.cost {
		p.lanes[worst] = fresh
	}
}

// records are the cheapest result, front to back.
func (p *path) records() []record {
	last := &p.extra
	if p.best >= 0 {
		last = &p.lanes[p.best]
	}
	var out []record // back to front
	end, extra := int32(len(p.new)), int64(0)
	for k := last.node; k >= 0; k = p.nodes[k].parent {
		n := p.nodes[k]
		length := int64(end - n.start)
		end = n.start
		switch {
		case length == 0:
		case n.shift == extraShift:
			extra += length
		default:
			out = append(out, record{length, extra, int64(n.start) + int64(n.shift)})
			extra = 0
		}
	}
	if extra > 0 || len(out) == 0 {
		out = append(out, record{0, extra, 0})
	}
	for a, b := 0, len(out)-1; a < b; a, b = a+1, b-1 {
		out[a], out[b] = out[b], out[a]
	}
	return out
}

// matching is how many bytes both begin with alike.
func matching(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)>>3
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// alike counts the bytes that are the same in the next eight times words bytes of a and b.
func alike(a, b []byte, words int) int {
	n := min(len(a), len(b), 8*words) &^ 7
	total := 0
	for k := 0; k < n; k += 8 {
		x := binary.LittleEndian.Uint64(a[k:]) ^ binary.LittleEndian.Uint64(b[k:])
		x = (x&0x7f7f7f7f7f7f7f7f + 0x7f7f7f7f7f7f7f7f) | x // the high bit of every byte that is not zero
		total += 8 - bits.OnesCount64(x&0x8080808080808080)
	}
	return total
}
