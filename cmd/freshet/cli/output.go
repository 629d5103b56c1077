package cli

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Format says how results are written.
type Format string

// RegisterFlags declares -o.
func (f *Format) RegisterFlags(fs *flag.FlagSet) {
	fs.Func("o", "Results as `table|json` (one object a line). Not given: a table on a terminal, else JSON.", func(s string) error {
		if s != "table" && s != "json" {
			return fmt.Errorf("use table or json")
		}
		*f = Format(s)
		return nil
	})
}

// Results writes one object after the other, as JSON lines or as the rows of a table.
type Results struct {
	out     io.Writer
	json    *json.Encoder
	header  []string
	rows    [][]string
	pending int
}

// Results returns a writer for results with the table header given.
func (f Format) Results(stdio *Stdio, header ...string) *Results {
	r := &Results{out: stdio.Out, header: header}
	if f == "json" || f == "" && !stdio.OutTerminal {
		r.json = json.NewEncoder(stdio.Out)
		r.json.SetEscapeHTML(false)
	}
	return r
}

// JSON says whether the results are JSON lines.
func (r *Results) JSON() bool { return r.json != nil }

// Add writes a result: v as JSON, or the cells as a row.
func (r *Results) Add(v any, cells ...string) error {
	if r.json != nil {
		if err := r.json.Encode(v); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
		return nil
	}
	r.rows = append(r.rows, cells)
	return nil
}

// Empty says whether nothing has been added to a table.
func (r *Results) Empty() bool { return r.json == nil && len(r.rows) == 0 && r.pending == 0 }

// Flush writes the rows of the table gathered so far, with the header if it is the first time.
func (r *Results) Flush() error {
	if r.json != nil || len(r.rows) == 0 {
		return nil
	}
	rows := r.rows
	if r.pending == 0 {
		rows = append([][]string{r.header}, rows...)
	}
	r.pending += len(r.rows)
	r.rows = nil
	if _, err := io.WriteString(r.out, align(rows)); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// align pads all columns but the last to their widest cell.
func align(rows [][]string) string {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
