// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
)

// The two commands. deflate-correct holds the plain content and the stream, at most 1 GiB each; deflate-remake holds the corrections,
// a window and the tokens of one block.

const inputLimit = 1 << 30

func init() {
	commands["deflate-correct"] = deflateCorrect
	commands["deflate-remake"] = deflateRemake
}

// readPart reads a length of eight bytes and that many bytes.
func readPart(from io.Reader) ([]byte, error) {
	var size [8]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, errMalformed
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > inputLimit {
		return nil, errMalformed
	}
	var part bytes.Buffer
	if n <= 1<<20 {
		part.Grow(int(n))
	}
	if got, err := io.CopyN(&part, from, int64(n)); err != nil || got != int64(n) {
		return nil, errMalformed
	}
	return part.Bytes(), nil
}

// deflateCorrect makes corrections and proves them.
func deflateCorrect(from io.Reader, to io.Writer) error {
	from = bufio.NewReaderSize(from, 1<<16)
	plain, err := readPart(from)
	if err != nil {
		return err
	}
	coded, err := readPart(from)
	if err != nil {
		return err
	}
	made, err := makeCorrections(plain, coded)
	if err != nil {
		return unable{err}
	}
	_, err = to.Write(made)
	return err
}

// unable ends the helper with status 3: nothing is wrong with the input, there just are no corrections for it.
type unable struct{ error }

func (unable) ExitCode() int { return 3 }

func makeCorrections(plain, coded []byte) ([]byte, error) {
	s, err := surveyStream(int64(len(plain)), coded)
	if err != nil {
		return nil, err
	}
	c, err := correct(plain, coded, s.guess(plain, coded), s)
	if err != nil {
		return nil, err
	}
	made := c.bytes()
	if len(made) > len(coded)/4 {
		return nil, errNoEconomy
	}
	back, err := readCorrections(made)
	if err != nil {
		return nil, err
	}
	proof := &comparer{want: coded}
	if err := remake(back, bytes.NewReader(plain), proof); err != nil {
		return nil, err
	}
	if len(proof.want) != 0 {
		return nil, errStream
	}
	return made, nil
}

// comparer refuses the first byte that differs.
type comparer struct{ want []byte }

func (c *comparer) Write(data []byte) (int, error) {
	if !bytes.HasPrefix(c.want, data) {
		return 0, errStream
	}
	c.want = c.want[len(data):]
	return len(data), nil
}

func deflateRemake(from io.Reader, to io.Writer) error {
	from = bufio.NewReaderSize(from, 1<<16)
	data, err := readPart(from)
	if err != nil {
		return err
	}
	c, err := readCorrections(data)
	if err != nil {
		return err
	}
	return remake(c, from, to)
}
