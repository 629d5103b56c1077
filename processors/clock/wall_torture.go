//go:build torture

package clock

import (
	"fmt"
	"os"
	"time"
)

const (
	// wallEnv is the variable that a program built with the tag torture reads: by so much its machine's clock is wrong.
	wallEnv = "FRESHET_WALL_CLOCK"
	// paceEnv is another one, SPEED/REAL/SHOWN: time passes SPEED times as fast, and at the instant REAL the clock shows SHOWN (both in
	// milliseconds since 1970). So a day passes in minutes, and several processes agree on what the time is.
	paceEnv = "FRESHET_CLOCK_PACE"
)

// Wall is what the machine's clock shows.
func Wall() time.Time {
	now := time.Now()
	if speed, real, shown := pace(); speed != 1 {
		now = shown.Add(now.Sub(real) * time.Duration(speed))
	}
	if text := os.Getenv(wallEnv); text != "" {
		off, err := time.ParseDuration(text)
		if err != nil {
			panic(fmt.Sprintf("%s=%q: %v", wallEnv, text, err))
		}
		now = now.Add(off)
	}
	return now
}

// paced is how fast time passes.
func paced(elapsed func() time.Duration) func() time.Duration {
	speed, _, _ := pace()
	return func() time.Duration { return elapsed() * time.Duration(speed) }
}

func pace() (speed int64, real, shown time.Time) {
	text := os.Getenv(paceEnv)
	if text == "" {
		return 1, real, shown
	}
	var realMs, shownMs int64
	if n, err := fmt.Sscanf(text, "%d/%d/%d", &speed, &realMs, &shownMs); n != 3 || err != nil || speed < 1 {
		panic(fmt.Sprintf("%s=%q: must be SPEED/REAL/SHOWN", paceEnv, text))
	}
	return speed, time.UnixMilli(realMs), time.UnixMilli(shownMs)
}
