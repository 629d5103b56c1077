package observe

import (
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// An engine is looked at while recorded sessions play.
func TestAnEngineAtWorkIsSeen(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	s := newStage(ctx, t)
	s.play(ctx, t)
	t.Run("promtool check metrics", s.lint)
	t.Run("panels", func(t *testing.T) {
		t.Run("classic histograms", func(t *testing.T) { s.panels(t, s.classic) })
		t.Run("native histograms", func(t *testing.T) { s.panels(t, s.native) })
	})
}

// lint has Prometheus' own tool look at what is exported.
func (s *stage) lint(t *testing.T) {
	path := program(t, "promtool")
	res, err := http.Get("http://" + s.engine.App.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cmd := exec.Command(path, "check", "metrics")
	cmd.Stdin = res.Body
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
