package testfile

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"
)

// Read returns the text of a compressed file.
func Read(tb testing.TB, path string) []byte {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return text
}

// Lines returns the lines of a compressed file, without their ends. A file of none is an error.
func Lines(tb testing.TB, path string) [][]byte {
	tb.Helper()
	text := bytes.TrimSuffix(Read(tb, path), []byte("\n"))
	if len(text) == 0 {
		tb.Fatalf("%s has no lines", path)
	}
	return bytes.Split(text, []byte("\n"))
}
