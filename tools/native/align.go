// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// align finds, for every byte of a new file, the place of an old one from which it nearly comes, in the way of bsdiff. A dynamic program over
// the new bytes keeps a few lanes, each a shift between the files; what the bytes and the changes of lanes cost decides. The modes differ in
// how candidates for lanes are found: fast samples the old file, best knows all of its suffixes.
//
// Input: u8 mode (0 fast, 1 best), u64le length of the old file, u64le that of the new one, both files.
// Output: records of three int64le: bytes copied, bytes that follow and come from nowhere, position of the copy in the old file.
// Memory: both files; fast 4 bytes for each old one, best 5; and 12 bytes for every change of lanes.

const (
	alignLimit = 1 << 29
	alignFast  = 0
	alignBest  = 1
)

var errAlignInput = errors.New("align: the input is cut off, too large or has an unknown mode")

func init() {
	commands["align"] = alignCommand
}

func alignCommand(from io.Reader, to io.Writer) error {
	from = bufio.NewReaderSize(from, 1<<16)
	var head [17]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return errAlignInput
	}
	mode := head[0]
	oldSize, newSize := binary.LittleEndian.Uint64(head[1:]), binary.LittleEndian.Uint64(head[9:])
	if mode > alignBest || oldSize > alignLimit || newSize > alignLimit {
		return errAlignInput
	}
	data := make([]byte, oldSize+newSize)
	if _, err := io.ReadFull(from, data); err != nil {
		return errAlignInput
	}
	if _, err := from.Read(head[:1]); err != io.EOF {
		return errAlignInput
	}
	records, err := align(data[:oldSize:oldSize], data[oldSize:], mode)
	if err != nil {
		return fmt.Errorf("align: %w", err)
	}
	return binary.Write(to, binary.LittleEndian, records)
}

// record has the layout of the output.
type record struct{ Copy, Extra, Place int64 }

// finder proposes lanes for position i of the new file, whose next eight bytes are word.
type finder interface {
	look(p *path, i int, word uint64)
	// wants tells cheaply whether looking at this word is of any use.
	wants(word uint64) bool
}

// Positions at which every lane is tried again after a copy went on for a while.
const lookAfter = 8

// A path that became dearer by less than this in 64 bytes is good enough to go on with.
const quiet = 8

func align(old, new []byte, mode byte) ([]record, error) {
	var candidates finder
	if mode == alignBest {
		suffixes, err := newSuffixes(old)
		if err != nil {
			return nil, err
		}
		candidates = suffixes
	} else {
		candidates = newSamples(old)
	}
	p := newPath(old, new)
	var around surroundings
	if len(old) > 0 && len(new) > 0 {
		p.add(0, 0)
	}
	until := 0
	for i := 0; i < len(new); {
		if i >= until && p.isAlone() {
			until = i + 1 + lookAfter
			if n := p.ahead(i); n > 0 {
				if n >= 16 {
					around.home = p.lanes[0].shift
				}
				i += n
				until = i + 1 + lookAfter
				continue
			}
		}
		if i+8 <= len(new) && (i < 64 || p.rise(i, 64) >= quiet) {
			if word := binary.LittleEndian.Uint64(new[i:]); candidates.wants(word) {
				candidates.look(p, i, word)
			}
		}
		around.look(p, i)
		p.step(i)
		i++
	}
	return p.records(), nil
}
