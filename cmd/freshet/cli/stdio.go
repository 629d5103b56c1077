package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Stdio is the world as a command sees it. Results go to Out, everything else to Err.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) (string, bool)

	OutTerminal, ErrTerminal bool // whether a person reads it
}

// Process returns the Stdio of this process.
func Process() *Stdio {
	return &Stdio{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.LookupEnv,
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())), ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
}
