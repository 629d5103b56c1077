package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Command is one command.
type Command struct {
	Name    string // one or two words, as in "topics plan"
	Summary string // one line, no full stop
	Usage   string // what follows the flags, as in "FILE… | -"
	About   string // paragraphs for help
	Example string // command lines
	// Flags declares the flags; nil: none.
	Flags func(*flag.FlagSet)
	// Run does it. What it returns decides the exit status.
	Run func(ctx context.Context, args []string, io *Stdio) error
}

// Program is the set of commands under a name.
type Program struct {
	Name, About string
	Commands    []*Command
	// Version is printed for -version.
	Version string
	// Defaults says in words what the defaults of flags are that differ from machine to machine.
	Defaults map[string]string
}

const configFlag = "config.file"

// Main runs the command that args name and returns the exit status.
func (p *Program) Main(ctx context.Context, args []string, io *Stdio) int {
	err := p.run(ctx, args, io)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(io.Err, "%s: %s\n", p.Name, message(err))
	}
	return Status(err)
}

func (p *Program) run(ctx context.Context, args []string, io *Stdio) error {
	if len(args) == 0 {
		fmt.Fprint(io.Err, p.Overview())
		return Usage(errors.New(""))
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return p.help(args[1:], io)
	case "-version", "--version":
		fmt.Fprintln(io.Out, p.Version)
		return nil
	}
	c, rest, err := p.find(args)
	if err != nil {
		return err
	}
	positional, err := p.parse(c, rest, io)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(io.Out, p.Help(c))
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.Run(ctx, positional, io); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}

// find returns the command that args begin with, and what follows its name. Of "workflows" and "workflows erase" the longer one is meant.
func (p *Program) find(args []string) (*Command, []string, error) {
	var (
		group []string
		found *Command
		most  int // words of its name
	)
	for _, c := range p.Commands {
		words := strings.Fields(c.Name)
		if len(args) >= len(words) && len(words) > most && slices.Equal(args[:len(words)], words) {
			found, most = c, len(words)
		}
		if len(words) > 1 && words[0] == args[0] {
			group = append(group, words[1])
		}
	}
	if found != nil {
		return found, args[most:], nil
	}
	if group != nil {
		if len(args) > 1 {
			return nil, nil, Usagef("%q is not a command of %s: use one of %s", args[1], args[0], strings.Join(group, ", "))
		}
		return nil, nil, Usagef("%s: say which: %s", args[0], strings.Join(group, ", "))
	}
	return nil, nil, Usagef("%q is not a command%s; freshet help lists them", args[0], didYouMean(args[0], p.names()))
}

func (p *Program) names() []string {
	names := []string{"help"}
	for _, c := range p.Commands {
		names = append(names, c.Name)
	}
	return names
}

// flagNames returns the flags of all commands. Declaring flags sets their variables to the defaults, so this comes before any parsing.
func (p *Program) flagNames() map[string]bool {
	names := map[string]bool{}
	for _, c := range p.Commands {
		if c.Flags != nil {
			c.flagSet().VisitAll(func(f *flag.Flag) { names[f.Name] = true })
		}
	}
	delete(names, configFlag)
	return names
}

// flagSet declares the command's flags, at their defaults.
func (c *Command) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if c.Flags != nil {
		c.Flags(fs)
		fs.String(configFlag, "", "YAML file with values for flags: -kafka.brokers is kafka.brokers, or brokers under kafka.")
	}
	return fs
}

// parse sets the flags: the command line wins over the environment, that over the configuration file, that over the default. Flags and
// other arguments may come in any order; after -- nothing is a flag.
func (p *Program) parse(c *Command, args []string, io *Stdio) ([]string, error) {
	known := p.flagNames()
	fs := c.flagSet()
	var positional []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, flagError(fs, err)
		}
		rest := fs.Args()
		if ended := len(args) - len(rest); ended > 0 && args[ended-1] == "--" {
			positional = append(positional, rest...)
			break
		}
		if len(rest) == 0 {
			break
		}
		positional, args = append(positional, rest[0]), rest[1:]
	}
	if c.Flags == nil {
		return positional, nil
	}
	return positional, layers(fs, known, io)
}

// flagError says what is wrong with a flag in the terms of this program.
func flagError(fs *flag.FlagSet, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	const unknown = "flag provided but not defined: -"
	if name, ok := strings.CutPrefix(err.Error(), unknown); ok {
		var names []string
		fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
		hint := didYouMean(name, names)
		if hint != "" {
			hint = strings.Replace(hint, "mean ", "mean -", 1)
		}
		return Usagef("-%s is not a flag of %s%s; freshet help %s lists them", name, fs.Name(), hint, fs.Name())
	}
	return Usagef("%s: %w", fs.Name(), err)
}

// didYouMean returns ": did you mean NAME?" if a name is near enough to be what was meant.
func didYouMean(got string, names []string) string {
	best, at := "", max(2, len(got)/3)+1
	for _, n := range names {
		if d := distance(got, n); d < at {
			best, at = n, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}

// distance is the number of insertions, deletions, substitutions and swaps of neighbours between two names (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differs := 1
			if a[i-1] == b[j-1] {
				differs = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differs)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
