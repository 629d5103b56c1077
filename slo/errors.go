package slo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Refusal names the rule of the file that was broken. Its name stands in docs/contract.md and is never renamed.
type Refusal string

// The rules of the file.
const (
	Empty           Refusal = "empty"
	TooLarge        Refusal = "too-large"
	Syntax          Refusal = "syntax"
	ManyDocuments   Refusal = "many-documents"
	UnknownKey      Refusal = "unknown-key"
	DuplicateKey    Refusal = "duplicate-key"
	MissingKey      Refusal = "missing-key"
	MergeKey        Refusal = "merge-key"
	WrongType       Refusal = "wrong-type"
	UnknownVersion  Refusal = "unknown-version"
	BadName         Refusal = "bad-name"
	BadDuration     Refusal = "bad-duration"
	BadTime         Refusal = "bad-time"
	BadURL          Refusal = "bad-url"
	BadPrincipal    Refusal = "bad-principal"
	BadLabel        Refusal = "bad-label"
	OutOfRange      Refusal = "out-of-range"
	NotOneOf        Refusal = "not-one-of"
	NotDeclared     Refusal = "not-declared"
	DuplicateName   Refusal = "duplicate-name"
	BadVariable     Refusal = "bad-variable"
	UnsetVariable   Refusal = "unset-variable"
	PlainVariable   Refusal = "plain-variable"
	HistoryLimit    Refusal = "history-limit"
	CannotFire      Refusal = "cannot-fire"
	BurnWindows     Refusal = "burn-windows"
	TopicTwice      Refusal = "topic-twice"
	OwnTopic        Refusal = "own-topic"
	DeadLetterInput Refusal = "dead-letter-input"
	ShortRetention  Refusal = "short-retention"
	EmptyInterval   Refusal = "empty-interval"
)

// Error is one thing that is wrong with the file.
type Error struct {
	File         string
	Line, Column int     // from 1
	Path         string  // contexts.policy.owner, slos[0].alerting.page[1].burn; "" for the file as a whole
	Refusal      Refusal // the rule that was broken
	Message      string
}

func (e Error) Error() string {
	path := e.Path
	if path != "" {
		path += ": "
	}
	return fmt.Sprintf("%s:%d:%d: %s%s", e.File, e.Line, e.Column, path, e.Message)
}

// Errors is everything that is wrong with the file, sorted by place.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// sort sorts by place and leaves out what is said twice: a node that several aliases name is read once for each.
func (e Errors) sort() Errors {
	slices.SortFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(e)
}

// oneOf writes what is allowed: "page or ticket", "murmur2, crc32 or fnv1a".
func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// listed is how many names an error lists before it says how many more there are.
const listed = 20

// list writes names in brackets: "(declared: ml, payments)".
func list(word string, names []string) string {
	if len(names) == 0 {
		return "(none is " + word + ")"
	}
	slices.Sort(names)
	more := ""
	if len(names) > listed {
		more = fmt.Sprintf(" and %d more", len(names)-listed)
		names = names[:listed]
	}
	return "(" + word + ": " + strings.Join(names, ", ") + more + ")"
}

// nearest returns the name that a misspelt one was most likely meant to be.
func nearest(name string, names []string) (string, bool) {
	if len(name) > 64 {
		return "", false
	}
	best, near := "", max(1, len(name)/3)+1
	for _, n := range names {
		if d := distance(name, n); d < near {
			best, near = n, d
		}
	}
	return best, best != ""
}

// distance is the number of letters to insert, leave out, replace or swap with their neighbour to turn a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			differ := 1
			if a[i] == b[j] {
				differ = 0
			}
			row[j+1] = min(last[j]+differ, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// meaning is a rule with what it says, for the reference.
type meaning struct {
	rule Refusal
	says string
}

// refusals are the rules of the file with what they say, in the order of the reference.
func refusals() []meaning {
	return []meaning{
		{Empty, "The file has no content."},
		{TooLarge, "The file has more than 1 MiB, or more than 262144 values once aliases are written out, or more than 999 errors (the rest are not shown)."},
		{Syntax, "The file is not YAML. The line is the first one that cannot follow what stands before it."},
		{ManyDocuments, "A second document begins (`---`)."},
		{UnknownKey, "A mapping has a key that it cannot have; the nearest one that it can have is named."},
		{DuplicateKey, "A mapping has the same key twice."},
		{MissingKey, "A key that has to be written is not."},
		{MergeKey, "A merge key (`<<`) is used. Anchors and aliases of whole values (`&name`, `*name`) are allowed."},
		{WrongType, "A value is a text where a number is expected, a mapping where a list is, empty where a value is needed, and so on. Texts that look like something else (`yes` does not, `5` and `2026-01-03` do) need quotes."},
		{UnknownVersion, "`version` is not 1."},
		{BadName, "A name is empty, longer than 256 bytes, has a character that it cannot have, is `_other` or `_none`, or is no name that Kafka gives a topic."},
		{BadDuration, "A duration is not written as Prometheus writes them, is negative, or is longer than 100y."},
		{BadTime, "A time is not an RFC 3339 date and time with an offset."},
		{BadURL, "A URL does not begin with `https://` or `http://`, or names no host."},
		{BadPrincipal, "A Kafka principal is not of the form `Type:name`."},
		{BadLabel, "A label of `alertmanager` has another character than letters, digits and `_`, or begins with a digit."},
		{OutOfRange, "A number or duration is smaller or greater than what is allowed there: an objective lies between 0 and 1, a window is longer than 0s."},
		{NotOneOf, "A value is none of the words that are allowed there."},
		{NotDeclared, "An owner is not in `owners`, a kind not in `contexts`, a workflow type not in `workflows`, a topic of `lateness` not an input."},
		{DuplicateName, "Two objectives or two detections have the same name, or a list has the same name twice."},
		{BadVariable, "A secret field has `${` with another name than `FRESHET_…` (capitals, digits, `_`), or without `}`."},
		{UnsetVariable, "A variable of a secret field is not set in the environment, or the field comes to nothing. Only checked where the secrets are needed: by `run`, not by `judge`."},
		{PlainVariable, "`${FRESHET_…}` stands outside of a secret field."},
		{HistoryLimit, "`history` is greater than `versions_limit`: a use cannot look back at versions that are not kept."},
		{CannotFire, "A burn rate cannot be reached: even with every event bad it is 1 / (1 − objective)."},
		{BurnWindows, "The short window of a burn-rate rule is not shorter than the long one, or the long one is longer than the objective's window."},
		{TopicTwice, "A topic with the default name of one category is declared for another one, while no topic is named for the first."},
		{OwnTopic, "An input, or a topic for dead letters other than `freshet.dead-letter…`, has a name that begins with `freshet.`."},
		{DeadLetterInput, "Dead letters would go to an input."},
		{ShortRetention, "A topic keeps its records for less than `retention.decisions`."},
		{EmptyInterval, "A maintenance is over before it begins."},
	}
}
