package slo

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"go.yaml.in/yaml/v3"
)

// maxName is the longest name, in bytes: names are labels of metrics and parts of keys.
const maxName = 256

// someText is what an error calls a text that is expected.
const someText = "a text"

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// scalar returns a scalar's text if its type is one of tags, and refuses it otherwise.
func (r *reader) scalar(v value, expected string, tags ...string) (string, bool) {
	if v.node.Kind == yaml.ScalarNode {
		tag := v.node.ShortTag()
		for _, t := range tags {
			if t == tag {
				return v.node.Value, true
			}
		}
		if tag == "!!null" {
			r.entry(v, WrongType, "this is empty: give it a value (%s) or leave the key out", expected)
			return "", false
		}
		if expected == someText {
			r.at(v, WrongType, "this is %s: %s is expected; put it in quotes to mean a text", called(v.node), expected)
			return "", false
		}
	}
	r.at(v, WrongType, "this is %s: %s is expected", called(v.node), expected)
	return "", false
}

// plain refuses a variable outside of secret fields.
func (r *reader) plain(v value, text string) bool {
	if !strings.Contains(text, variableOpen+variablePrefix) {
		return true
	}
	r.at(v, PlainVariable, "variables (${%s…}) are only replaced in secret fields: this is not one", variablePrefix)
	return false
}

// text is any text but the empty one.
func text() kind[string] {
	return kind[string]{
		is: "text",
		read: func(r *reader, v value, into *string) (any, bool) {
			s, ok := r.scalar(v, someText, "!!str")
			if !ok || !r.plain(v, s) {
				return nil, false
			}
			if s == "" {
				r.at(v, BadName, "this is empty: give it a text or leave the key out")
				return nil, false
			}
			*into = s
			return s, true
		},
		schema: func() object { return object{"type": "string", "minLength": 1} },
	}
}

// nameRule says what is wrong with a name, "" if nothing is. without are characters it cannot have.
func nameRule(name, without string) string {
	switch {
	case name == "":
		return "a name is empty"
	case len(name) > maxName:
		return "a name is longer than " + strconv.Itoa(maxName) + " bytes"
	case name == "_other" || name == "_none":
		return quote(name) + " is what metrics call what the contract does not name"
	case strings.Contains(name, variableOpen+variablePrefix):
		return "a name cannot hold a variable"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return strconv.Quote(name) + " has a control character in it"
	case strings.ContainsAny(name, without):
		return strconv.Quote(name) + " cannot have " + oneOf(strings.Split(without, "")) + " in it"
	}
	return ""
}

// name is a name of one's own.
func name(without string) kind[string] {
	k := text()
	k.is = "name"
	read := k.read
	k.read = func(r *reader, v value, into *string) (any, bool) {
		said, ok := read(r, v, into)
		if !ok {
			return nil, false
		}
		if wrong := nameRule(*into, without); wrong != "" {
			r.at(v, BadName, "%s", wrong)
			return nil, false
		}
		return said, true
	}
	return k
}

// names is the rule for the names of a dict.
func names(without string) func(*reader, string, value) bool {
	return func(r *reader, n string, v value) bool {
		if wrong := nameRule(n, without); wrong != "" {
			r.entry(v, BadName, "%s", wrong)
			return false
		}
		return true
	}
}

// reference is the name of something that is declared elsewhere in the file.
func reference[V any](noun, is string, declared func(*File) map[string]V) kind[string] {
	k := text()
	k.is = is
	read := k.read
	k.read = func(r *reader, v value, into *string) (any, bool) {
		said, ok := read(r, v, into)
		if ok {
			n := *into
			r.later(func() { refer(r, r.at, v, n, noun, declared(r.file)) })
		}
		return said, ok
	}
	return k
}

// refer refuses a name that is not declared, at the value or at its key, as show does.
func refer[V any](r *reader, show func(value, Refusal, string, ...any), v value, name, noun string, declared map[string]V) {
	if _, ok := declared[name]; ok || r.full() {
		return
	}
	all := make([]string, 0, len(declared))
	for n := range declared {
		all = append(all, n)
	}
	show(v, NotDeclared, "%q is not a declared %s%s", name, noun, meant(name, all, "declared"))
}

// span is a duration of at least least.
func span(least freshness.Duration) kind[freshness.Duration] {
	return kind[freshness.Duration]{
		is: "duration",
		read: func(r *reader, v value, into *freshness.Duration) (any, bool) {
			s, ok := r.scalar(v, "a duration", "!!str", "!!int", "!!float")
			if !ok || !r.plain(v, s) {
				return nil, false
			}
			d, err := ParseDuration(s)
			if err != nil {
				r.at(v, BadDuration, "%s", err)
				return nil, false
			}
			if d < least {
				r.at(v, OutOfRange, "%s is too short: it has to be longer than 0s", s)
				return nil, false
			}
			*into = d
			return int64(d), true
		},
		schema: func() object { return object{"type": []string{"string", "integer"}, "pattern": durationPattern} },
	}
}

// durationPattern is ParseDuration as a regular expression, for editors.
const durationPattern = `^(0|(?=[0-9])([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$`

// whole is a whole number from low to high.
func whole[N int | int64](low, high N) kind[N] {
	return kind[N]{
		is: "whole number",
		read: func(r *reader, v value, into *N) (any, bool) {
			s, ok := r.scalar(v, "a whole number", "!!int", "!!float")
			if !ok {
				return nil, false
			}
			n, err := strconv.ParseInt(s, 10, 64)
			digits := strings.TrimLeft(s, "+-")
			if out := err != nil && strings.Trim(digits, "0123456789") == ""; out || err == nil && (n < int64(low) || n > int64(high)) {
				r.at(v, OutOfRange, "%s is out of range: allowed are %d to %d", s, low, high)
				return nil, false
			}
			if err != nil || len(digits) > 1 && digits[0] == '0' {
				r.at(v, WrongType, "%s is not a whole number in decimal digits", s)
				return nil, false
			}
			*into = N(n)
			return n, true
		},
		schema: func() object { return object{"type": "integer", "minimum": low, "maximum": high} },
	}
}

// decimal is a number greater than 0 and less than limit. allowed says so in words.
func decimal(limit float64, allowed string) kind[float64] {
	return kind[float64]{
		is: "number",
		read: func(r *reader, v value, into *float64) (any, bool) {
			s, ok := r.scalar(v, "a number", "!!float", "!!int")
			if !ok {
				return nil, false
			}
			f, err := strconv.ParseFloat(s, 64)
			if len(s) > 40 || strings.Trim(s, "0123456789.eE+-") != "" || err != nil && f == 0 {
				r.at(v, WrongType, "%s is not a number in decimal digits", s)
				return nil, false
			}
			if !(f > 0 && f < limit) {
				r.at(v, OutOfRange, "%s is out of range: %s", s, allowed)
				return nil, false
			}
			*into = f
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), true
		},
		schema: func() object { return object{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": limit} },
	}
}

// choice is one of a closed set of names.
func choice[V any](options []V, called func(V) string) kind[V] {
	all := make([]string, len(options))
	for i, o := range options {
		all[i] = called(o)
	}
	return kind[V]{
		is: strings.Join(all, " | "),
		read: func(r *reader, v value, into *V) (any, bool) {
			s, ok := r.scalar(v, oneOf(all), "!!str")
			if !ok || !r.plain(v, s) {
				return nil, false
			}
			for i, n := range all {
				if n == s {
					*into = options[i]
					return s, true
				}
			}
			r.at(v, NotOneOf, "%q is not allowed: use %s", s, oneOf(all))
			return nil, false
		},
		schema: func() object { return object{"enum": all} },
	}
}

// boolean is true or false.
func boolean() kind[bool] {
	return kind[bool]{
		is: "true | false",
		read: func(r *reader, v value, into *bool) (any, bool) {
			s, ok := r.scalar(v, "true or false", "!!bool")
			*into = strings.EqualFold(s, "true")
			return *into, ok
		},
		schema: func() object { return object{"type": "boolean"} },
	}
}

// instant is a date and time.
func instant() kind[event.Time] {
	return kind[event.Time]{
		is: "RFC 3339 time",
		read: func(r *reader, v value, into *event.Time) (any, bool) {
			s, ok := r.scalar(v, "a time such as 2026-01-03T17:00:00Z", "!!timestamp", "!!str")
			if !ok || !r.plain(v, s) {
				return nil, false
			}
			t, ok := event.ParseTime(s)
			if !ok {
				r.at(v, BadTime, "%q is not an RFC 3339 date and time with an offset, such as 2026-01-03T17:00:00Z", s)
				return nil, false
			}
			*into = t
			return int64(t), true
		},
		schema: func() object { return object{"type": "string", "format": "date-time"} },
	}
}

// link is an address of a page.
func link() kind[string] {
	k := text()
	k.is = "URL"
	read := k.read
	k.read = func(r *reader, v value, into *string) (any, bool) {
		said, ok := read(r, v, into)
		if !ok {
			return nil, false
		}
		u, err := url.Parse(*into)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
			r.at(v, BadURL, "%q is not a URL that begins with https:// or http:// and names a host", *into)
			return nil, false
		}
		return said, true
	}
	k.schema = func() object { return object{"type": "string", "format": "uri", "pattern": "^https?://"} }
	return k
}

// principal is a Kafka principal: its type, a colon, its name.
func principal() kind[string] {
	k := text()
	k.is = "Kafka principal"
	read := k.read
	k.read = func(r *reader, v value, into *string) (any, bool) {
		said, ok := read(r, v, into)
		if !ok {
			return nil, false
		}
		if kind, name, found := strings.Cut(*into, ":"); !found || kind == "" || name == "" || strings.ContainsFunc(*into, unicode.IsControl) {
			r.at(v, BadPrincipal, "%q is not a Kafka principal, such as User:agents", *into)
			return nil, false
		}
		return said, true
	}
	k.schema = func() object { return object{"type": "string", "pattern": "^[^:]+:.+"} }
	return k
}

// secret is a text that nobody may see and in which variables are replaced. Its errors never show it.
func secret() kind[Secret] {
	return kind[Secret]{
		is: "secret text",
		read: func(r *reader, v value, into *Secret) (any, bool) {
			s, ok := r.scalar(v, someText, "!!str")
			if !ok {
				return nil, false
			}
			out, rule, err := expand(s, r.secrets)
			if err != nil {
				r.at(v, rule, "%s", err)
				return nil, false
			}
			if out == "" && r.secrets != nil {
				r.at(v, UnsetVariable, "this is empty: give it a text or leave the key out")
				return nil, false
			}
			*into = NewSecret(out)
			return s, true
		},
		schema: func() object { return object{"type": "string", "minLength": 1} },
	}
}
