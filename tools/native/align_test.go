// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"testing"
	"time"
)

// aligned runs the command and checks that its records lie inside of the old file and make the whole new one.
func aligned(t *testing.T, mode byte, old, new []byte) []record {
	t.Helper()
	var in, out bytes.Buffer
	in.WriteByte(mode)
	binary.Write(&in, binary.LittleEndian, []uint64{uint64(len(old)), uint64(len(new))})
	in.Write(old)
	in.Write(new)
	if err := alignCommand(&in, &out); err != nil {
		t.Fatal(err)
	}
	records := make([]record, out.Len()/24)
	if err := binary.Read(&out, binary.LittleEndian, records); err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for _, r := range records {
		if r.Copy < 0 || r.Extra < 0 || r.Place < 0 || r.Place+r.Copy > int64(len(old)) {
			t.Fatal("a record outside of the files", r)
		}
		at += r.Copy + r.Extra
	}
	if at != int64(len(new)) {
		t.Fatalf("the records make %d bytes of %d", at, len(new))
	}
	return records
}

// differing counts the bytes that the records leave to be told.
func differing(records []record, old, new []byte) (total int) {
	at := 0
	for _, r := range records {
		for k := 0; k < int(r.Copy); k++ {
			if new[at+k] != old[int(r.Place)+k] {
				total++
			}
		}
		at += int(r.Copy + r.Extra)
		total += int(r.Extra)
	}
	return total
}

func edited(r *rand.Rand, old []byte) []byte {
	var out []byte
	for at := 0; at < len(old); {
		n := min(len(old)-at, 200+r.Intn(20000))
		out = append(out, old[at:at+n]...)
		at += n
		switch r.Intn(4) {
		case 0:
			out = append(out, sample("random", 1+r.Intn(40))...)
		case 1:
			at = min(len(old), at+r.Intn(60))
		case 2:
			out[len(out)-1-r.Intn(100)] ^= 0x55
		case 3:
			from := r.Intn(max(1, len(old)-500))
			out = append(out, old[from:min(len(old), from+500)]...)
		}
	}
	return out
}

func TestAlignFindsWhatIsAlike(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	for _, kind := range []string{"code", "random", "text"} {
		old := sample(kind, 300_000)
		new := edited(r, old)
		for mode := byte(0); mode <= alignBest; mode++ {
			if n := differing(aligned(t, mode, old, new), old, new); n > 6000 {
				t.Errorf("%s, mode %d: %d of %d bytes are left to be told", kind, mode, n, len(new))
			}
		}
	}
}

func TestAlignOfEqualFilesIsOneRecord(t *testing.T) {
	data := sample("mixed", 100_000)
	for mode := byte(0); mode <= alignBest; mode++ {
		if found := aligned(t, mode, data, data); len(found) != 1 || found[0] != (record{100_000, 0, 0}) {
			t.Error(mode, found)
		}
	}
}

func TestAlignOfNothing(t *testing.T) {
	for mode := byte(0); mode <= alignBest; mode++ {
		for _, one := range [][2][]byte{{nil, nil}, {nil, []byte("new")}, {[]byte("old"), nil}, {[]byte("o"), []byte("n")}} {
			aligned(t, mode, one[0], one[1])
		}
	}
}

// Files in which every place is like every other must not take long: a hundred times what a program takes is too long.
func TestAlignOfDegenerateFiles(t *testing.T) {
	const size = 1 << 20
	r := rand.New(rand.NewSource(3))
	files := map[string][2][]byte{
		"zeros":         {make([]byte, size), make([]byte, size)},
		"zeros, random": {make([]byte, size), sample("random", size)},
		"random":        {sample("random", size), sample("random", size+1)},
		"backwards":     {sample("text", size), backwards(sample("text", size))},
	}
	for _, period := range []int{1, 2, 3, 7, 255, 4096} {
		old := bytes.Repeat(sample("random", period), size/period)
		new := bytes.Clone(old)
		for k := 0; k < 2000; k++ {
			new[r.Intn(len(new))]++
		}
		files[fmt.Sprint("period ", period)] = [2][]byte{old, new}
	}
	for name, one := range files {
		for mode := byte(0); mode <= alignBest; mode++ {
			started := time.Now()
			aligned(t, mode, one[0], one[1])
			if took := time.Since(started); took > 30*time.Second {
				t.Errorf("%s, mode %d: %v", name, mode, took)
			} else {
				t.Logf("%s, mode %d: %v", name, mode, took)
			}
		}
	}
}

func backwards(data []byte) []byte {
	out := make([]byte, len(data))
	for k, b := range data {
		out[len(data)-1-k] = b
	}
	return out
}

func TestAlignRefusesWhatItCannotRead(t *testing.T) {
	head := func(mode byte, old, new uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64([]byte{mode}, old), new)
	}
	for name, in := range map[string][]byte{
		"nothing":        nil,
		"a cut head":     head(0, 1, 1)[:16],
		"an unknown way": append(head(2, 1, 1), "on"...),
		"too large":      head(0, alignLimit+1, 0),
		"huge":           head(0, 1<<63, 1<<63),
		"cut off":        append(head(1, 4, 4), "oldnew"...),
		"too much":       append(head(1, 3, 3), "oldnew!"...),
	} {
		if err := alignCommand(bytes.NewReader(in), io.Discard); !errors.Is(err, errAlignInput) {
			t.Error(name, err)
		}
	}
}

func TestSuffixesAreInOrder(t *testing.T) {
	data := sample("mixed", 5000)
	order, err := suffixOrder(data)
	if err != nil {
		t.Fatal(err)
	}
	for k := 1; k < len(order); k++ {
		if bytes.Compare(data[order[k-1]:], data[order[k]:]) >= 0 {
			t.Fatal("suffixes out of order at", k)
		}
	}
}
