package event

import (
	"encoding/json"
	"fmt"
	"time"
)

// Time is an instant in milliseconds since 1970-01-01T00:00:00Z. Finer fractions are cut off when an event is decoded, so that
// durations, and sums of them, are exact in what Freshet says (docs/decisions).
type Time int64

// The instants that RFC 3339 can write, in UTC: the years 0000 to 9999.
const (
	minTime Time = -62_167_219_200_000 // 0000-01-01T00:00:00.000Z
	maxTime Time = 253_402_300_799_999 // 9999-12-31T23:59:59.999Z

	msPerMinute = 60_000
	msPerDay    = 86_400_000
	// daysPerEra is the length of the 400 years after which the calendar repeats.
	daysPerEra = 146_097
	// daysToEpoch is the number of days from 0000-03-01 to 1970-01-01.
	daysToEpoch = 719_468
)

// Of returns t as a Time.
func Of(t time.Time) Time { return Time(t.UnixMilli()) }

// Go returns t as a time.Time in UTC.
func (t Time) Go() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Append appends t as RFC 3339 in UTC, always with milliseconds: 2026-01-03T17:07:55.000Z. An instant outside the years 0000 to 9999,
// which RFC 3339 cannot write, is written as the nearest one inside.
func (t Time) Append(b []byte) []byte {
	ms := int64(min(max(t, minTime), maxTime) - minTime)
	// Days are counted from 1 March of the year -400: the leap day is then the last of its year, and nothing is negative
	// (Hinnant, chrono-compatible low-level date algorithms).
	days := ms/msPerDay - 60 + daysPerEra
	ms %= msPerDay
	era, day := days/daysPerEra, days%daysPerEra
	yearOfEra := (day - day/1460 + day/36524 - day/146096) / 365
	day -= 365*yearOfEra + yearOfEra/4 - yearOfEra/100
	month := (5*day + 2) / 153
	day -= (153*month + 2) / 5
	year := yearOfEra + (era-1)*400
	if month += 3; month > 12 {
		month, year = month-12, year+1
	}
	minutes := ms / msPerMinute
	ms %= msPerMinute
	return append(b,
		digit(year/1000), digit(year/100%10), digit(year/10%10), digit(year%10), '-',
		digit(month/10), digit(month%10), '-',
		digit((day+1)/10), digit((day+1)%10), 'T',
		digit(minutes/600), digit(minutes/60%10), ':',
		digit(minutes%60/10), digit(minutes%10), ':',
		digit(ms/10_000), digit(ms/1000%10), '.',
		digit(ms/100%10), digit(ms/10%10), digit(ms%10), 'Z')
}

func digit(n int64) byte { return byte('0' + n) }

// String returns t as Append writes it.
func (t Time) String() string { return string(t.Append(make([]byte, 0, 24))) }

// MarshalJSON writes t as a string, as Append does. What lies outside the years 0000 to 9999 does not survive it.
func (t Time) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 26)
	return append(t.Append(append(b, '"')), '"'), nil
}

// UnmarshalJSON reads an RFC 3339 string as ParseTime does. As for other types, null changes nothing.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("read instant: %w", err)
	}
	if s == nil {
		return nil
	}
	at, ok := ParseTime(*s)
	if !ok {
		return fmt.Errorf("read instant: %q is not an RFC 3339 date and time, such as 2026-01-03T17:07:55.000Z", *s)
	}
	*t = at
	return nil
}

// ParseTime reads an RFC 3339 date and time: a real calendar date of the years 0000 to 9999, any number of fraction digits (what is
// finer than milliseconds is cut off, towards the past), any offset up to ±23:59, T and Z in either case. It takes nothing else: no
// space in place of T, no comma, no missing offset. An instant whose offset carries it out of those years is refused.
//
// Second 60 is taken where a leap second can be, at 23:59:60 UTC by whatever offset, and means the first millisecond of the next day,
// with its fraction left out: no instant of a leap second then comes after one of the following second.
func ParseTime(s string) (Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") {
		return 0, false
	}
	if s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	century, year := twoDigits(s, 0), twoDigits(s, 2)
	month, day := twoDigits(s, 5), twoDigits(s, 8)
	hour, minute, second := twoDigits(s, 11), twoDigits(s, 14), twoDigits(s, 17)
	// A part that is no number is negative, and so is the union of all with it.
	if century|year|month|day|hour|minute|second < 0 {
		return 0, false
	}
	year += 100 * century
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	ms, i, ok := fraction(s, 19)
	if !ok {
		return 0, false
	}
	offset, ok := zone(s[i:])
	if !ok {
		return 0, false
	}
	minutes := daysSinceEpoch(year, month, day)*1440 + int64(hour*60+minute-offset)
	if second == 60 {
		if m := minutes % 1440; m != 1439 && m != -1 {
			return 0, false
		}
		ms = 0
	}
	t := Time(minutes*msPerMinute + int64(second)*1000 + int64(ms))
	return t, t >= minTime && t <= maxTime
}

// fraction reads the fraction of a second that may begin at s[i], and returns its milliseconds and where it ends.
func fraction(s string, i int) (ms, end int, ok bool) {
	if s[i] != '.' {
		return 0, i, true
	}
	i++
	start, weight := i, 100
	for i < len(s) && s[i]-'0' <= 9 {
		ms += int(s[i]-'0') * weight
		weight /= 10
		i++
	}
	return ms, i, i > start
}

// zone reads what must be a whole offset from UTC and returns it in minutes.
func zone(s string) (minutes int, ok bool) {
	if len(s) == 1 {
		return 0, s[0]|0x20 == 'z'
	}
	if len(s) != len("+00:00") || s[3] != ':' || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	h, m := twoDigits(s, 1), twoDigits(s, 4)
	if h|m < 0 || h > 23 || m > 59 {
		return 0, false
	}
	if s[0] == '-' {
		return -(h*60 + m), true
	}
	return h*60 + m, true
}

// twoDigits returns the number that s[i:i+2] is, -1 if it is none.
func twoDigits(s string, i int) int {
	a, b := s[i]-'0', s[i+1]-'0'
	if a > 9 || b > 9 {
		return -1
	}
	return int(a)*10 + int(b)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSinceEpoch returns the days from 1970-01-01 to a date of a year from 0 on.
func daysSinceEpoch(year, month, day int) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	year += 400 // January and February of the year 0 belong to the year before
	era, yearOfEra := year/400, year%400
	dayOfYear := (153*(month-3)+2)/5 + day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return int64(era-1)*daysPerEra + int64(dayOfEra) - daysToEpoch
}
