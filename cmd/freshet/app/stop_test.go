package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/grafana/dskit/services"
)

// A module that does not stop is not waited for without end, and is named.
func TestAModuleThatDoesNotStopIsNamed(t *testing.T) {
	gate := make(chan struct{})
	well := services.NewIdleService(nil, nil)
	stuck := services.NewIdleService(nil, func(error) error {
		<-gate
		return nil
	})
	manager, err := services.NewManager(well, stuck)
	if err != nil {
		t.Fatal(err)
	}
	if err := services.StartManagerAndAwaitHealthy(t.Context(), manager); err != nil {
		t.Fatal(err)
	}
	a := &App{manager: manager, services: map[string]services.Service{"well": well, "stuck": stuck}, stopIn: time.Millisecond}
	manager.StopAsync()
	if err := well.AwaitTerminated(t.Context()); err != nil {
		t.Fatal(err)
	}
	told, tell := context.WithCancel(t.Context())
	tell()
	if err := a.awaitStopped(told); !errors.Is(err, errStop) || !strings.Contains(err.Error(), ": stuck;") {
		t.Errorf("awaitStopped = %v; want that it names the module that is stuck", err)
	}
	close(gate)
	a.stopIn = time.Hour
	if err := a.awaitStopped(told); err != nil {
		t.Errorf("awaitStopped = %v once it has stopped", err)
	}
}
