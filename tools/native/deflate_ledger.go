// SPDX-License-Identifier: Apache-2.0

package main

// ledger is what both directions keep of the stream so far.
type ledger struct {
	c       *corrections
	at      int64 // place in the plain content after the last token
	opened  int64 // place where the block began
	freq    frequencies
	builder codeBuilder
	head    codeHeader // predicted
	places  []int64    // where blocks without content stand, ascending
	gap     int64      // tokens since the last correction, or to the next one
	edge    int64      // the same for the ends of blocks
	blocks  int64      // the same for kinds of blocks
	heads   int64
	pads    int64
}

// implied reports that a block ends here whatever is predicted: at the end, and where blocks without content follow.
func (l *ledger) implied() bool {
	return l.at >= l.c.plain || len(l.places) > 0 && l.at == l.places[0]
}

func (l *ledger) leave(at int64) {
	for len(l.places) > 0 && l.places[0] <= at {
		l.places = l.places[1:]
	}
}

// predictBlock gives the kind of a block that is complete, and its head should it be dynamic.
func (l *ledger) predictBlock(r *recipe, atHand bool) int {
	l.builder.predictHeader(&l.freq, &l.head)
	switch {
	case r.end == endByBytes:
		return blockStored
	case r.method == methodQuick:
		return blockFixed
	}
	return l.builder.predictKind(l.at-l.opened, atHand)
}

func (l *ledger) close() {
	l.opened = l.at
	l.freq.reset()
}

const (
	mostEmpties    = 1 << 20
	mostEmptyHeads = 1 << 12
)

// emptyBlock is a block without content.
type emptyBlock struct {
	at   int64
	kind int
	pad  uint8
	head *codeHeader // of a dynamic one
	end  int64
}

// placesBefore leaves out the end: what is flushed there is no flush in between.
func placesBefore(places []int64, total int64) []int64 {
	if n := len(places); n > 0 && places[n-1] >= total {
		return places[:n-1]
	}
	return places
}
