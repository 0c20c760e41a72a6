// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/flate"
	"io"
)

// The corrections format: a version byte; varints for the sizes, the recipe and the columns' lengths; the columns, packed as one
// deflate stream where that is smaller. Each column holds one kind of number, so that whatever compresses next finds them sorted.

const correctionsVersion = 1

const (
	columnGap      = iota // tokens that were predicted right before the next wrong one
	columnKind            // what stands there
	columnLength          // of the match
	columnHop             // candidates on the chain before the right one, plus 1; 0: see the distance
	columnDistance        // less one
	columnEdge            // tokens before the next wrong answer to "does the block end here"
	columnBlock           // blocks before the next one of another kind than predicted, and that kind
	columnHead            // blocks before the next head that was not predicted, and what differs
	columnEmpty           // blocks without content: step, kind, padding, head
	columnPad             // stored blocks before the next one with odd padding, and that
	columnCount
)

// What a correction puts in the place of a predicted token.
const (
	putLiteral = iota
	putMatch   // instead of a literal
	putLength  // another length at the same distance
	putOther   // another distance, any length
)

// corrections are everything beside the plain content that makes a stream.
type corrections struct {
	plain, coded int64
	recipe       recipe
	tail         uint8 // the bits after the last block
	columns      [columnCount]column
}

// bytes writes the corrections.
func (c *corrections) bytes() []byte {
	head, body := c.parts()
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestCompression)
	w.Write(body)
	w.Close()
	if packed.Len() >= len(body) {
		return c.loose()
	}
	return append(append(head, 1), packed.Bytes()...)
}

// loose writes the corrections without packing their columns.
func (c *corrections) loose() []byte {
	head, body := c.parts()
	return append(append(head, 0), body...)
}

// parts are the head but for its last byte, and the columns side by side.
func (c *corrections) parts() (start, body []byte) {
	head := column{data: []byte{correctionsVersion}}
	head.add(uint64(c.plain))
	head.add(uint64(c.coded))
	c.recipe.writeTo(&head)
	head.addByte(c.tail)
	used := uint64(0)
	for k := range c.columns {
		if len(c.columns[k].data) > 0 {
			used |= 1 << k
		}
	}
	head.add(used)
	for k := range c.columns {
		if data := c.columns[k].data; len(data) > 0 {
			head.add(uint64(len(data)))
			body = append(body, data...)
		}
	}
	return head.data, body
}

// readCorrections reads what bytes wrote. Columns are never longer than the announced stream and 64 KiB, nor than 256 MiB.
func readCorrections(data []byte) (*corrections, error) {
	c := &corrections{}
	head := column{data: data}
	if head.takeByte() != correctionsVersion {
		return nil, errMalformed
	}
	c.plain, c.coded = int64(head.take()), int64(head.take())
	c.recipe = readRecipe(&head)
	c.tail = head.takeByte()
	var sizes [columnCount]int64
	used, total := head.take(), int64(0)
	for k := range sizes {
		if used>>k&1 == 1 {
			sizes[k] = int64(head.take())
			total += sizes[k]
		}
	}
	packed := head.takeByte()
	if head.broken || !c.recipe.valid() || packed > 1 || used>>columnCount != 0 || c.coded > c.plain+c.plain/10+1<<16 || total > columnLimit(c.coded) {
		return nil, errMalformed
	}
	body := data[head.next:]
	if packed == 1 {
		unpacked := make([]byte, 0, min(total, 1<<20))
		buffer := bytes.NewBuffer(unpacked)
		from := flate.NewReader(bytes.NewReader(body))
		if _, err := io.Copy(buffer, io.LimitReader(from, total+1)); err != nil {
			return nil, errMalformed
		}
		body = buffer.Bytes()
	}
	if int64(len(body)) != total {
		return nil, errMalformed
	}
	for k, size := range sizes {
		c.columns[k].data = body[:size]
		body = body[size:]
	}
	return c, nil
}

// columnLimit bounds the columns before they are packed.
func columnLimit(coded int64) int64 { return min(coded, 1<<28) + 1<<16 }

// sound reports whether every number was used and none was missing.
func (c *corrections) sound() bool {
	for k := range c.columns {
		if c.columns[k].broken || !c.columns[k].empty() {
			return false
		}
	}
	return true
}
