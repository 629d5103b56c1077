package retime_test

import (
	"encoding/json"
	"testing"

	"github.com/freshet-io/freshet/cmd/freshet/retime"
	"github.com/freshet-io/freshet/event"
)

func TestInstantsMoveAndNothingElse(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"attributes", `{"time":"2026-01-03T17:07:55.000Z", "recordedtime" : "2026-01-03T17:07:55Z","id":"2026-01-03T17:07:55.000Z"}`,
			`{"time":"2026-01-03T17:08:55.000Z", "recordedtime" : "2026-01-03T17:08:55.000Z","id":"2026-01-03T17:07:55.000Z"}`},
		{"data", `{"time":"2026-01-03T17:07:55Z","data":{"effective_at":"2026-01-03T17:07:55.000Z","through":"2026-01-03T18:07:55+01:00","time":"2026-01-03T17:07:55Z"}}`,
			`{"time":"2026-01-03T17:08:55.000Z","data":{"effective_at":"2026-01-03T17:08:55.000Z","through":"2026-01-03T17:08:55.000Z","time":"2026-01-03T17:07:55Z"}}`},
		{"refs", `{"data":{"refs":[{"as_of":"2026-01-03T17:07:55Z","key":"a"},[1],{"key":"through"},"as_of",{"as_of":null},{"as_of":"soon"}],"based_on":[{"as_of":"2026-01-03T17:07:55Z"}]}}`,
			`{"data":{"refs":[{"as_of":"2026-01-03T17:08:55.000Z","key":"a"},[1],{"key":"through"},"as_of",{"as_of":null},{"as_of":"soon"}],"based_on":[{"as_of":"2026-01-03T17:08:55.000Z"}]}}`},
		{"elsewhere", `{"as_of":"2026-01-03T17:07:55Z","extra":{"as_of":"2026-01-03T17:07:55Z"},"data":"2026-01-03T17:07:55Z"}`,
			`{"as_of":"2026-01-03T17:07:55Z","extra":{"as_of":"2026-01-03T17:07:55Z"},"data":"2026-01-03T17:07:55Z"}`},
		{"empty", `{"data":{},"x":[],"time":"2026-01-03T17:07:55Z"}`, `{"data":{},"x":[],"time":"2026-01-03T17:08:55.000Z"}`},
		{"escaped", `{"ti\u006de":"2026-01-03T17:07:55Z","s":"\"time\":\"2026-01-03T17:07:55Z\""}`, `{"ti\u006de":"2026-01-03T17:08:55.000Z","s":"\"time\":\"2026-01-03T17:07:55Z\""}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := retime.Append([]byte("> "), []byte(c.in), retime.Shift(60_000))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "> "+c.want {
				t.Errorf("got  %s\nwant > %s", got, c.want)
			}
		})
	}
}

func TestWhatIsNoJSONIsAnError(t *testing.T) {
	for _, in := range []string{`{"time":`, `{"time":"2026-01-03T17:07:55Z"`, `nonsense`} {
		if _, err := retime.Append(nil, []byte(in), retime.Shift(1)); err == nil {
			t.Errorf("%s was taken", in)
		}
	}
}

// Moving there and back gives the same instants, and what was JSON is JSON.
func FuzzThereAndBack(f *testing.F) {
	f.Add(`{"time":"2026-01-03T17:07:55.000Z","data":{"refs":[{"as_of":"2026-01-03T17:07:55.000Z"}]}}`)
	f.Fuzz(func(t *testing.T, line string) {
		there, err := retime.Append(nil, []byte(line), retime.Shift(1000))
		if err != nil {
			return
		}
		if json.Valid([]byte(line)) != json.Valid(there) {
			t.Fatalf("%q became %q", line, there)
		}
		same, err := retime.Append(nil, there, func(t event.Time) event.Time { return t })
		if err != nil || string(same) != string(there) {
			t.Fatalf("%q, moved by nothing, became %q (%v)", there, same, err)
		}
	})
}
