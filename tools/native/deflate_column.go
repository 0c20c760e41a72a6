// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
)

// column is a list of numbers, written at its end and read from its start. Reading past the end gives 0 and sets broken.
type column struct {
	data   []byte
	next   int
	broken bool
}

func (c *column) add(v uint64) { c.data = binary.AppendUvarint(c.data, v) }

func (c *column) addSigned(v int) { c.data = binary.AppendVarint(c.data, int64(v)) }

func (c *column) addByte(v uint8) { c.data = append(c.data, v) }

func (c *column) empty() bool { return c.next >= len(c.data) }

func (c *column) take() uint64 {
	v, n := binary.Uvarint(c.data[c.next:])
	if n <= 0 || v >= 1<<40 {
		c.broken, c.next = true, len(c.data)
		return 0
	}
	c.next += n
	return v
}

func (c *column) takeSigned() int { v := c.take(); return int(v>>1) ^ -int(v&1) }

func (c *column) takeByte() uint8 {
	if c.empty() {
		c.broken = true
		return 0
	}
	c.next++
	return c.data[c.next-1]
}

// countdown gives the next number, or one that is never reached where the column is used up.
func (c *column) countdown() int64 {
	if c.empty() {
		return 1 << 62
	}
	return int64(c.take())
}
