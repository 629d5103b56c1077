package demo

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

// The stretch of the recording that plays: an afternoon in which agents worked on what others had changed.
const (
	liveFrom = 17_500
	liveTo   = 20_500
)

// Config says how long the demo runs.
type Config struct{ For time.Duration }

// RegisterFlags declares the flags with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.DurationVar(&c.For, "for", time.Minute, "How long the demo runs.")
}

// Validate names the flag, the value and what is allowed.
func (c *Config) Validate() error {
	if c.For < 10*time.Second || c.For > time.Hour {
		return fmt.Errorf("-for %v: must be between 10s and 1h", c.For)
	}
	return nil
}

// Run runs the demo until its time is over or ctx ends, and writes a summary.
func Run(ctx context.Context, cfg Config, stdio *cli.Stdio) error {
	dir, err := os.MkdirTemp("", "freshet-demo-*")
	if err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	journal := &journal{}
	s := &stage{dir: dir, contracts: filepath.Join(dir, "contracts.yaml"), length: cfg.For, now: time.Now,
		logger: level.NewFilter(log.NewLogfmtLogger(log.NewSyncWriter(journal)), level.AllowWarn())}
	board := NewBoard()
	if stdio.OutTerminal {
		err = onTerminal(ctx, cancel, s, board, stdio)
	} else {
		err = plainly(ctx, s, board, stdio)
	}
	err = errors.Join(err, os.RemoveAll(dir))
	if err != nil {
		fmt.Fprint(stdio.Err, journal.String())
		return err
	}
	_, err = io.WriteString(stdio.Out, board.Summary())
	return err
}

// onTerminal runs the demo under the live view.
func onTerminal(ctx context.Context, cancel func(), s *stage, board *Board, stdio *cli.Stdio) error {
	p := tea.NewProgram(&view{board: board, quit: cancel}, tea.WithInput(stdio.In), tea.WithOutput(stdio.Out), tea.WithoutSignalHandler())
	done := make(chan error, 1)
	go func() {
		err := s.run(ctx, func(m any) { p.Send(m) })
		p.Send(finished{})
		done <- err
	}()
	_, err := p.Run()
	cancel()
	return errors.Join(err, <-done)
}

// plainly runs the demo with a line for every live verdict on stdout and one for every phase on stderr.
func plainly(ctx context.Context, s *stage, board *Board, stdio *cli.Stdio) error {
	var mu sync.Mutex
	var failed error
	err := s.run(ctx, func(m any) {
		mu.Lock()
		defer mu.Unlock()
		r, live := board.Take(m)
		if p, ok := m.(phase); ok {
			fmt.Fprintln(stdio.Err, string(p))
		}
		if _, ok := m.(where); ok {
			for _, t := range board.try() {
				fmt.Fprintln(stdio.Err, "  "+t)
			}
		}
		if live && failed == nil {
			_, failed = fmt.Fprintln(stdio.Out, r.line())
		}
	})
	return errors.Join(err, failed)
}

// journal keeps the end of what the engine says, for when the demo fails.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const journalLimit = 64 << 10

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.text.Len() > journalLimit {
		j.text.Next(journalLimit / 2)
	}
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.TrimLeft(j.text.String(), "\n")
}
