//go:build torture

package clock

import (
	"fmt"
	"os"
	"time"
)

// wallEnv is the variable that a program built with the tag torture reads: by so much its machine's clock is wrong.
const wallEnv = "FRESHET_WALL_CLOCK"

// wall is what the machine's clock shows.
func wall() time.Time {
	now := time.Now()
	if text := os.Getenv(wallEnv); text != "" {
		off, err := time.ParseDuration(text)
		if err != nil {
			panic(fmt.Sprintf("%s=%q: %v", wallEnv, text, err))
		}
		now = now.Add(off)
	}
	return now
}
