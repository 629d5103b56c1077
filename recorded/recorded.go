package recorded

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
)

//go:embed sessions.ndjson.gz
var sessions []byte

//go:embed contracts.yaml
var contract []byte

// Contract returns the contract that the demo judges by.
func Contract() []byte { return bytes.Clone(contract) }

// Events returns the structured CloudEvents, in the order of their event times.
func Events() ([][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(sessions))
	if err != nil {
		return nil, fmt.Errorf("unpack the recorded sessions: %w", err)
	}
	var lines [][]byte
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		lines = append(lines, bytes.Clone(s.Bytes()))
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("unpack the recorded sessions: %w", err)
	}
	return lines, nil
}
