package bench

import (
	"context"
	"errors"
	"testing"
)

// Records go on only once fewer wait than may, and it is not asked for each of them how many do.
func TestWithinWaitsForRoom(t *testing.T) {
	left := []int64{3, 9, 8, 7}
	asked := 0
	pace := Within(8, func() (int64, error) {
		asked++
		return left[asked-1], nil
	})
	for n := range int64(4) {
		if err := pace(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 4 { // of 0: 3 wait; of 2: 9, 8, 7
		t.Errorf("asked %d times", asked)
	}
	broken := errors.New("broken")
	if err := Within(4, func() (int64, error) { return 0, broken })(t.Context(), 0); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Within(4, func() (int64, error) { return 4, nil })(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
