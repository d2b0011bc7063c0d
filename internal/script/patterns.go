package script

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// patterns finds many texts in a line in one pass. Each has at least MinSecret bytes.
type patterns struct {
	longest int
	known   map[string]bool
	by      map[uint32][][]byte // by their first four bytes, the longest first
	maybe   [1 << 10]uint64     // a bit for each hash of these, so that most positions cost one look
}

// add takes a text in.
func (p *patterns) add(text string) {
	if p.known[text] {
		return
	}
	if p.known == nil {
		p.known, p.by = map[string]bool{}, map[uint32][][]byte{}
	}
	p.known[text] = true
	p.longest = max(p.longest, len(text))

	head := binary.LittleEndian.Uint32([]byte(text))
	i, bit := bitOf(head)
	p.maybe[i] |= bit
	same := p.by[head]
	place, _ := slices.BinarySearchFunc(same, len(text), func(other []byte, size int) int { return cmp.Compare(size, len(other)) })
	p.by[head] = slices.Insert(same, place, []byte(text))
}

func bitOf(head uint32) (i int, bit uint64) {
	hash := head * 0x9E3779B1 >> 16
	return int(hash >> 6), 1 << (hash & 63)
}

// at gives the length of the longest text that begins at the line's i-th byte; 0 for none.
func (p *patterns) at(line []byte, i int) int {
	if len(line)-i < MinSecret {
		return 0
	}
	head := binary.LittleEndian.Uint32(line[i:])
	if word, bit := bitOf(head); p.maybe[word]&bit == 0 {
		return 0
	}
	for _, text := range p.by[head] {
		if bytes.HasPrefix(line[i:], text) {
			return len(text)
		}
	}
	return 0
}
