// SPDX-License-Identifier: Apache-2.0

package main

// survey is a first look at the whole stream.
type survey struct {
	empty    []emptyBlock
	places   []int64
	heads    int // dynamic blocks among them
	tail     uint8
	blocks   int
	stored   int
	fixed    int
	tokens   []int // of the first blocks
	sizes    []int // plain bytes of them
	farthest int
	shortest [maxMatch + 1]int // matches by length
}

func surveyStream(plain int64, coded []byte) (*survey, error) {
	s, p := &survey{}, newParser(coded, plain)
	for {
		b, err := p.next()
		if err != nil {
			return nil, err
		}
		s.blocks++
		switch {
		case b.size == 0:
			s.addEmpty(b, p.plain)
			if len(s.empty) > mostEmpties || s.heads > mostEmptyHeads {
				return nil, errStream
			}
		case b.kind == blockStored:
			s.stored++
		case b.kind == blockFixed:
			s.fixed++
		}
		if b.size > 0 && len(s.tokens) < 1024 {
			s.tokens = append(s.tokens, len(b.tokens))
			s.sizes = append(s.sizes, int(b.size))
		}
		for _, t := range b.tokens {
			if t.isMatch() {
				s.farthest = max(s.farthest, t.distance())
				s.shortest[t.length()]++
			}
		}
		if b.final {
			s.tail = p.tail
			if p.plain != plain {
				return nil, errStream
			}
			return s, nil
		}
	}
}

func (s *survey) addEmpty(b *block, at int64) {
	e := emptyBlock{at: at, kind: b.kind, pad: b.pad, end: b.end}
	if b.kind == blockDynamic {
		e.head = b.head.clone()
		s.heads++
	}
	s.empty = append(s.empty, e)
	if len(s.places) == 0 || s.places[len(s.places)-1] != at {
		s.places = append(s.places, at)
	}
}
