package slo

import (
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/freshness"
)

const (
	millisecond freshness.Duration = 1
	second                         = 1000 * millisecond
	minute                         = 60 * second
	hour                           = 60 * minute
	day                            = 24 * hour
	week                           = 7 * day
	year                           = 365 * day

	// maxDuration keeps sums of durations and instants far from overflow.
	maxDuration = 100 * year
)

// unit is one unit of a duration. Weeks and years are only written where nothing else is left: 90d reads better than 12w6d.
type unit struct {
	name  string
	of    freshness.Duration
	alone bool
}

// units are the units of a duration from the largest to the smallest.
func units() [7]unit {
	return [...]unit{{"y", year, true}, {"w", week, true}, {"d", day, false}, {"h", hour, false}, {"m", minute, false}, {"s", second, false}, {"ms", millisecond, false}}
}

// durationForm is what an error says of how durations are written.
const durationForm = "durations are written 90s, 1h30m, 500ms, 30d or 2w: whole numbers with the units y, w, d, h, m, s, ms, the largest first"

// ParseDuration reads a duration as Prometheus writes it. A year is 365 days. 0 needs no unit.
func ParseDuration(s string) (freshness.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	if s == "" {
		return 0, fmt.Errorf("a duration is missing: %s", durationForm)
	}
	if s[0] == '-' {
		if _, err := ParseDuration(s[1:]); err == nil {
			return 0, fmt.Errorf("%q is negative: a duration is 0s or longer", s)
		}
	}
	var sum freshness.Duration
	rest, from := s, 0
	all := units()
	for rest != "" {
		n, name := 0, 0
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		for name = n; name < len(rest) && (rest[name] < '0' || rest[name] > '9'); name++ {
		}
		u := from
		for u < len(all) && all[u].name != rest[n:name] {
			u++
		}
		if n == 0 || u == len(all) {
			return 0, fmt.Errorf("%q is not a duration: %s", s, durationForm)
		}
		v, err := strconv.ParseInt(rest[:n], 10, 64)
		if err != nil || v > int64((maxDuration-sum)/all[u].of) {
			return 0, fmt.Errorf("%q is too long: a duration is at most %s", s, FormatDuration(maxDuration))
		}
		sum += freshness.Duration(v) * all[u].of
		rest, from = rest[name:], u+1
	}
	return sum, nil
}

// FormatDuration writes a duration as Prometheus does, so that ParseDuration reads it again.
func FormatDuration(d freshness.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b []byte
	// Negative remainders are written digit by digit: the smallest duration has no positive counterpart.
	if d < 0 {
		b = append(b, '-')
	}
	for _, u := range units() {
		if u.alone && d%u.of != 0 {
			continue
		}
		if v := d / u.of; v != 0 {
			n := uint64(v)
			if v < 0 {
				n = -n
			}
			b = append(strconv.AppendUint(b, n, 10), u.name...)
			d -= v * u.of
		}
	}
	return string(b)
}
