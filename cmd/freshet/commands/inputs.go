package commands

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

// maxLine is the longest line that is read whole; a longer one is handed on cut, and no decoder takes it.
const maxLine = 4 << 20

// line is one line of an input.
type line struct {
	text []byte // without its end; valid until the next line
	file string // "-" is standard input
	n    int    // from 1
}

// inputs are the files of a command line: NDJSON, plain or gzip, "-" for standard input. They can be read twice: standard input is kept in
// a temporary file for that.
type inputs struct {
	files []string
	stdin io.Reader

	size, read int64 // bytes of the files as they lie on disk; size is 0 if not known
	spool      *os.File
}

// openInputs checks that the files are there.
func openInputs(files []string, stdio *cli.Stdio) (*inputs, error) {
	if len(files) == 0 {
		return nil, cli.Usagef("name the files with events, or - for standard input")
	}
	in := &inputs{files: files, stdin: stdio.In}
	known, fromStdin := true, 0
	for _, f := range files {
		if f == "-" {
			known = false
			fromStdin++
			continue
		}
		info, err := os.Stat(f)
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a directory", f)
		}
		if err != nil {
			return nil, cli.Usage(err)
		}
		in.size += info.Size()
	}
	if fromStdin > 1 {
		return nil, cli.Usagef("- stands twice among the files: standard input can be read once")
	}
	if !known {
		in.size = 0
	}
	return in, nil
}

// share is how much of the input has been read, negative if that is not known.
func (in *inputs) share() float64 {
	if in.size == 0 {
		return -1
	}
	return float64(in.read) / float64(in.size)
}

// keep makes it possible to read the inputs again.
func (in *inputs) keep() error {
	for _, f := range in.files {
		if f != "-" {
			continue
		}
		spool, err := os.CreateTemp("", "freshet-stdin-*")
		if err != nil {
			return fmt.Errorf("keep standard input: %w", err)
		}
		in.spool = spool
		if _, err := io.Copy(spool, in.stdin); err != nil {
			return fmt.Errorf("keep standard input: %w", err)
		}
	}
	return nil
}

// close removes what keep has made.
func (in *inputs) close() error {
	if in.spool == nil {
		return nil
	}
	return errors.Join(in.spool.Close(), os.Remove(in.spool.Name()))
}

// each calls f for every line that is not blank, of every file in turn.
func (in *inputs) each(f func(line) error) error {
	in.read = 0
	for _, name := range in.files {
		if err := in.file(name, f); err != nil {
			return err
		}
	}
	return nil
}

func (in *inputs) file(name string, f func(line) error) error {
	var raw io.Reader
	switch {
	case name != "-":
		file, err := os.Open(name)
		if err != nil {
			return cli.Usage(err)
		}
		defer file.Close()
		raw = file
	case in.spool != nil:
		if _, err := in.spool.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("read standard input again: %w", err)
		}
		raw = in.spool
	default:
		raw = in.stdin
	}
	buffered := bufio.NewReaderSize(&countingReader{raw, &in.read}, 256<<10)
	text := buffered
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) { // by content: standard input has no name
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		text = bufio.NewReaderSize(z, 256<<10)
	}
	return eachLine(name, text, f)
}

func eachLine(name string, r *bufio.Reader, f func(line) error) error {
	var long []byte
	for n := 1; ; n++ {
		long = long[:0]
		text, err := r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			if len(long) <= maxLine {
				long = append(long, text...)
			}
			text, err = r.ReadSlice('\n')
		}
		if len(long) > 0 {
			long = append(long, text...)
			text = long
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s, line %d: %w", name, n, err)
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			if e := f(line{text, name, n}); e != nil {
				return e
			}
		}
		if err != nil {
			return nil
		}
	}
}

type countingReader struct {
	r io.Reader
	n *int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}
