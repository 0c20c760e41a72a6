// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"testing"
)

// sample is content of one kind, the same in every run.
func sample(kind string, size int) []byte {
	r := rand.New(rand.NewSource(int64(size)))
	data := make([]byte, 0, size+300)
	words := make([][]byte, 900)
	for k := range words {
		words[k] = make([]byte, 2+r.Intn(9))
		for c := range words[k] {
			words[k][c] = "etaoinshrdlucmfw"[r.Intn(16)]
		}
	}
	for len(data) < size {
		switch kind {
		case "text":
			data = append(append(data, words[int(r.ExpFloat64()*90)%len(words)]...), ' ')
		case "random":
			data = append(data, byte(r.Intn(256)))
		case "zeros":
			data = append(data, 0)
		case "code":
			data = binary.LittleEndian.AppendUint32(append(data, 0xe8, byte(r.Intn(7))), uint32(r.Intn(3000)))
			if from := len(data) - 300; from > 0 && r.Intn(3) == 0 {
				at := r.Intn(from)
				data = append(data, data[at:at+3+r.Intn(90)]...)
			}
		case "mixed":
			for _, kind := range []string{"text", "random", "zeros", "code"} {
				data = append(data, sample(kind, size/8+1)...)
			}
		}
	}
	return data[:size]
}

var sampleKinds = []string{"text", "random", "zeros", "code", "mixed"}

func inflate(t *testing.T, coded []byte) []byte {
	t.Helper()
	plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(coded)))
	if err != nil {
		t.Fatal("not a deflate stream:", err)
	}
	return plain
}

// produce lets the simulation itself make a stream: a receiver without corrections.
func produce(t *testing.T, r recipe, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	c := &corrections{plain: int64(len(plain)), coded: int64(len(plain))*2 + 1000, recipe: r}
	if len(plain) == 0 {
		c.columns[columnEmpty].data = []byte{0, blockFixed}
	}
	if err := remake(c, bytes.NewReader(plain), &out); !errors.Is(err, errMalformed) {
		t.Fatal(err) // the length cannot have been announced right
	}
	return out.Bytes()
}

// check makes corrections whatever they cost, remakes the stream and returns their size.
func check(t *testing.T, plain, coded []byte) int {
	t.Helper()
	s, err := surveyStream(int64(len(plain)), coded)
	if err != nil {
		t.Fatal(err)
	}
	return checkWith(t, plain, coded, s.guess(plain, coded))
}

func checkWith(t *testing.T, plain, coded []byte, r recipe) int {
	t.Helper()
	s, err := surveyStream(int64(len(plain)), coded)
	if err != nil {
		t.Fatal(err)
	}
	n := newNoter(int64(len(plain)), coded, r, s)
	c, err := n.corrections(plain)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	made := c.bytes()
	back, err := readCorrections(made)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := remake(back, bytes.NewReader(plain), &out); err != nil || !bytes.Equal(out.Bytes(), coded) {
		t.Fatalf("%+v: remade %d of %d bytes: %v", r, out.Len(), len(coded), err)
	}
	return len(made)
}

// Every known maker's streams are proper deflate, and need no corrections beyond the head.
func TestKnownMakers(t *testing.T) {
	for _, kind := range sampleKinds {
		plain := sample(kind, 200_000)
		for k, r := range knownRecipes() {
			t.Run(fmt.Sprintf("%s/%d", kind, k), func(t *testing.T) {
				coded := produce(t, r, plain)
				if !bytes.Equal(inflate(t, coded), plain) {
					t.Fatal("the simulated maker lost content")
				}
				if n := checkWith(t, plain, coded, r); n > 40 {
					t.Error("corrections of", n, "bytes")
				}
			})
		}
	}
}

// The maker is found out: what is guessed costs no more than a few bytes.
func TestGuess(t *testing.T) {
	plain := append(sample("text", 150_000), sample("code", 250_000)...)
	for k, r := range knownRecipes() {
		if r.method == methodBytes || r.method == methodRuns {
			continue
		}
		coded := produce(t, r, plain)
		made, err := makeCorrections(plain, coded)
		if err != nil || len(made) > 200 {
			t.Errorf("%d %+v: %d bytes, %v", k, r, len(made), err)
		}
	}
}

// Go's own compressor is none of the known makers; it works all the same.
func TestForeignMaker(t *testing.T) {
	for _, kind := range sampleKinds {
		for level := -2; level <= 9; level++ {
			for _, size := range []int{0, 1, 2, 3, 100, 70_000, 300_000} {
				plain := sample(kind, size)
				var coded bytes.Buffer
				w, _ := flate.NewWriter(&coded, level)
				for len(plain) > 0 {
					n := min(len(plain), 90_000)
					w.Write(plain[:n])
					if plain = plain[n:]; level%2 == 0 {
						w.Flush()
					}
				}
				w.Close()
				check(t, sample(kind, size), coded.Bytes())
			}
		}
	}
}

// Any stream comes back, however odd its tokens, blocks and heads are.
func TestOddStreams(t *testing.T) {
	for seed := int64(0); seed < 300; seed++ {
		coded, plain := oddStream(rand.New(rand.NewSource(seed)))
		if !bytes.Equal(inflate(t, coded), plain) {
			t.Fatal("the test's own stream is wrong")
		}
		check(t, plain, coded)
	}
}

// oddStream is a random but proper deflate stream.
func oddStream(r *rand.Rand) (coded, plain []byte) {
	var out bytes.Buffer
	w := newBitWriter(&out, 1<<40)
	m := &remaker{out: w}
	for blocks := 1 + r.Intn(6); blocks > 0; blocks-- {
		kind := r.Intn(3)
		w.put(truth(blocks == 1)|uint32(kind)<<1, 3)
		m.freq.reset()
		m.tokens = m.tokens[:0]
		start := len(plain)
		for n := r.Intn(2000) * r.Intn(2); n > 0; n-- {
			if length := minMatch + r.Intn(1+r.Intn(256)); len(plain) > 300 && r.Intn(3) == 0 {
				distance := 1 + r.Intn(min(len(plain), maxDistance))
				m.tokens = append(m.tokens, matchToken(length, distance))
				for ; length > 0; length-- {
					plain = append(plain, plain[len(plain)-distance])
				}
			} else {
				plain = append(plain, byte(r.Intn(1+r.Intn(256))))
				m.tokens = append(m.tokens, token(plain[len(plain)-1]))
			}
			m.freq.add(m.tokens[len(m.tokens)-1])
		}
		switch kind {
		case blockStored:
			plain = plain[:min(len(plain), start+maxBlockSize)]
			m.storedHead(len(plain)-start, uint8(r.Intn(256)))
			w.bytes(plain[start:])
		case blockFixed:
			m.codes.set(fixedLitLens[:], fixedDistLens[:])
			m.codes.write(w, m.tokens)
		case blockDynamic:
			oddHead(r, m)
			m.writeHeader(&m.head)
			m.codes.set(m.head.litLens(), m.head.distLens())
			m.codes.write(w, m.tokens)
		}
	}
	w.align(uint8(r.Intn(256)))
	w.pass()
	return out.Bytes(), plain
}

// oddHead gives codes that fit the block, but not those that zlib would take.
func oddHead(r *rand.Rand, m *remaker) {
	for k := range m.freq.lit {
		m.freq.lit[k] = min(m.freq.lit[k], 1) * uint32(1+r.Intn(1+r.Intn(5000)))
	}
	m.freq.lit[r.Intn(litLenCodes)] += uint32(r.Intn(2))
	m.builder.predictHeader(&m.freq, &m.head)
	if r.Intn(2) == 0 { // no repeats at all
		m.head.symbols = m.head.symbols[:0]
		for _, n := range m.head.lens[:m.head.literals+m.head.distances] {
			m.head.symbols = append(m.head.symbols, uint16(n))
		}
		m.builder.predictSmall(&m.head)
	}
	if r.Intn(2) == 0 {
		m.head.kept = lengthCodes
	}
}

// The commands speak lengths of eight bytes; corrections that do not pay end with status 3.
func TestCommands(t *testing.T) {
	plain := sample("text", 100_000)
	coded := produce(t, ngRecipe(6).fed(flateWrite, flateRoom, true), plain)
	var made, back bytes.Buffer
	if err := deflateCorrect(bytes.NewReader(append(part(plain), part(coded)...)), &made); err != nil {
		t.Fatal(err)
	}
	if err := deflateRemake(bytes.NewReader(append(part(made.Bytes()), plain...)), &back); err != nil || !bytes.Equal(back.Bytes(), coded) {
		t.Fatal("not the same stream", err)
	}
	refused := 0
	for seed := int64(0); seed < 20; seed++ {
		odd, content := oddStream(rand.New(rand.NewSource(seed)))
		var status interface{ ExitCode() int }
		err := deflateCorrect(bytes.NewReader(append(part(content), part(odd)...)), io.Discard)
		if errors.As(err, &status) && status.ExitCode() == 3 {
			refused++
		} else if err != nil {
			t.Error("an odd stream is no wrong input:", err)
		}
	}
	if refused == 0 {
		t.Error("corrections of odd streams do not pay")
	}
	for _, short := range [][]byte{nil, part(plain)[:9], part(plain), bytes.Repeat([]byte{255}, 30)} {
		if err := deflateCorrect(bytes.NewReader(short), io.Discard); err == nil {
			t.Error("short input was taken")
		}
		if err := deflateRemake(bytes.NewReader(short), io.Discard); err == nil {
			t.Error("short input was taken")
		}
	}
}

// The wrong content, or a byte too few or too many, is refused.
func TestWrongContent(t *testing.T) {
	plain := sample("code", 50_000)
	made, err := makeCorrections(plain, produce(t, zlibRecipe(6, hashRolling, 15), plain))
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range [][]byte{nil, plain[:len(plain)-1], append(bytes.Clone(plain), 0), sample("random", len(plain))} {
		c, err := readCorrections(made)
		if err != nil {
			t.Fatal(err)
		}
		if err := remake(c, bytes.NewReader(other), io.Discard); err == nil {
			t.Error("other content was taken")
		}
	}
}

func part(data []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(data))), data...)
}

// limited counts what is written.
type limited struct{ n int64 }

func (l *limited) Write(data []byte) (int, error) {
	l.n += int64(len(data))
	return len(data), nil
}

// Random corrections never panic, and never write more than the content and a tenth allow.
func FuzzRemake(f *testing.F) {
	plain := sample("mixed", 20_000)
	for _, r := range knownRecipes() {
		var coded bytes.Buffer
		w, _ := flate.NewWriter(&coded, 6)
		w.Write(plain)
		w.Close()
		s, _ := surveyStream(int64(len(plain)), coded.Bytes())
		if c, err := newNoter(int64(len(plain)), coded.Bytes(), r, s).corrections(plain); err == nil {
			f.Add(c.bytes(), plain)
			f.Add(c.loose(), plain)
		}
	}
	f.Fuzz(func(t *testing.T, data, plain []byte) {
		c, err := readCorrections(data)
		if err != nil {
			return
		}
		var out limited
		remake(c, bytes.NewReader(plain), &out)
		if out.n > c.coded || c.coded > c.plain+c.plain/10+1<<16 {
			t.Error("wrote", out.n)
		}
	})
}

// Random streams never panic; what is accepted comes back.
func FuzzCorrect(f *testing.F) {
	for seed := int64(0); seed < 40; seed++ {
		coded, plain := oddStream(rand.New(rand.NewSource(seed)))
		f.Add(plain, coded)
	}
	for level := 0; level < 10; level++ {
		var coded bytes.Buffer
		w, _ := flate.NewWriter(&coded, level)
		w.Write(sample("mixed", 5000))
		w.Close()
		f.Add(sample("mixed", 5000), coded.Bytes())
	}
	f.Fuzz(func(t *testing.T, plain, coded []byte) {
		if len(plain) > 1<<17 {
			return
		}
		made, err := makeCorrections(plain, coded)
		if err != nil {
			return
		}
		c, err := readCorrections(made)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := remake(c, bytes.NewReader(plain), &out); err != nil || !bytes.Equal(out.Bytes(), coded) {
			t.Fatal("accepted, but not remade:", err)
		}
	})
}
