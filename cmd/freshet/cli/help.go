package cli

import (
	"flag"
	"fmt"
	"strings"
)

func (p *Program) help(args []string, io *Stdio) error {
	if len(args) == 0 {
		fmt.Fprint(io.Out, p.Overview())
		return nil
	}
	c, _, err := p.find(args)
	if err != nil {
		if group := p.group(args); group != "" {
			fmt.Fprint(io.Out, group)
			return nil
		}
		return err
	}
	fmt.Fprint(io.Out, p.Help(c))
	return nil
}

// group returns the help of the commands that share their first word, "" if args name no such group.
func (p *Program) group(args []string) string {
	if len(args) != 1 {
		return ""
	}
	var b strings.Builder
	for _, c := range p.Commands {
		if strings.HasPrefix(c.Name, args[0]+" ") {
			fmt.Fprintf(&b, "  %-18s %s\n", c.Name, c.Summary)
		}
	}
	return b.String()
}

// Overview returns the list of commands.
func (p *Program) Overview() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage: %s COMMAND [flags] [arguments]\n\n", p.About, p.Name)
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "  %-18s %s\n", c.Name, c.Summary)
	}
	fmt.Fprintf(&b, `
Every flag can also be set in the environment (%s for -kafka.brokers) and in the YAML file that -%s names.
Exit status: 0 done · 1 the answer is no · 2 usage or configuration · 3 it could not be done.
%s help COMMAND shows a command's flags and an example.
`, EnvName("kafka.brokers"), configFlag, p.Name)
	return b.String()
}

// Help returns what there is to say of a command.
func (p *Program) Help(c *Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s\n\nUsage: %s\n", p.Name, c.Name, c.Summary, p.usage(c))
	if c.About != "" {
		b.WriteString("\n" + strings.TrimSpace(c.About) + "\n")
	}
	if c.Flags != nil {
		b.WriteString("\nFlags:\n")
		c.flagSet().VisitAll(func(f *flag.Flag) {
			fmt.Fprintf(&b, "  -%s%s\n        %s%s\n", f.Name, valueName(f), usageText(f), defaultText(f))
		})
	}
	if c.Example != "" {
		b.WriteString("\nExample:\n")
		for line := range strings.Lines(strings.TrimSpace(c.Example) + "\n") {
			b.WriteString("  " + line)
		}
	}
	return b.String()
}

func (p *Program) usage(c *Command) string {
	s := p.Name + " " + c.Name
	if c.Flags != nil {
		s += " [flags]"
	}
	if c.Usage != "" {
		s += " " + c.Usage
	}
	return s
}

// Markdown returns docs/commands.md.
func (p *Program) Markdown(generatedBy string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Commands\n\n<!-- Generated from the commands: %s -->\n\n%s\n\n", generatedBy, p.About)
	fmt.Fprintf(&b, "Results go to stdout (a table on a terminal, else JSON, one object a line; `-o table` or `-o json` decides), everything else to stderr.\n"+
		"Exit status: 0 done · 1 the answer is no · 2 usage or configuration · 3 it could not be done.\n"+
		"Every flag can also be set in the environment (`%s` for `-kafka.brokers`) and in the YAML file that `-%s` names (`kafka: {brokers: …}`):\n"+
		"the command line wins over the environment, that over the file, that over the default. Keys that are no flag are refused.\n\n", EnvName("kafka.brokers"), configFlag)
	b.WriteString("| command | what |\n|---|---|\n")
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "| [`%s`](#%s-%s) | %s |\n", c.Name, p.Name, strings.ReplaceAll(c.Name, " ", "-"), c.Summary)
	}
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "\n## %s %s\n\n%s.\n\n```\n%s\n```\n", p.Name, c.Name, c.Summary, p.usage(c))
		if c.About != "" {
			b.WriteString("\n" + strings.TrimSpace(c.About) + "\n")
		}
		if c.Example != "" {
			b.WriteString("\n```sh\n" + strings.TrimSpace(c.Example) + "\n```\n")
		}
		if c.Flags == nil {
			continue
		}
		b.WriteString("\n| flag | default | what |\n|---|---|---|\n")
		c.flagSet().VisitAll(func(f *flag.Flag) {
			def := ""
			if f.DefValue != "" {
				def = "`" + f.DefValue + "`"
			}
			if words := p.Defaults[f.Name]; words != "" {
				def = words
			}
			fmt.Fprintf(&b, "| `-%s` | %s | %s |\n", f.Name, def, strings.ReplaceAll(usageText(f), "|", "\\|"))
		})
	}
	return b.String()
}

func valueName(f *flag.Flag) string {
	name, _ := flag.UnquoteUsage(f)
	if name == "" {
		return ""
	}
	return " " + name
}

func usageText(f *flag.Flag) string {
	_, text := flag.UnquoteUsage(f)
	return text
}

func defaultText(f *flag.Flag) string {
	if f.DefValue == "" {
		return ""
	}
	return " (default " + f.DefValue + ")"
}
