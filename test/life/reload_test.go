package life

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/test/harness"
)

// TestReloadedOnHangup changes the contract file under a running process: a bad file is refused whole, with the gauge set and the contract of
// before in force; a hangup lets the engine look at the file again and say again what is wrong with it; a good file is in force.
func TestReloadedOnHangup(t *testing.T) {
	ctx := within(t)
	text, err := os.ReadFile(contract)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "contracts.yaml")
	write := func(more string) (hash string) {
		t.Helper()
		all := append(text[:len(text):len(text)], more...)
		if err := os.WriteFile(file, all, 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := slo.Parse(all, file, os.LookupEnv); err == nil {
			hash = f.Hash()
		}
		return hash
	}
	before := write("")
	e := harness.New(t, harness.Options{Contract: contract, Partitions: partitions})
	p := startWith(t, e.Brokers(), t.TempDir(), file)
	p.untilReady(ctx)
	says := func(lines ...string) {
		t.Helper()
		p.until(ctx, func() string {
			for _, line := range lines {
				if !strings.Contains(p.metrics(), "\n"+line+"\n") {
					return "there is no " + line
				}
			}
			return ""
		})
	}
	inForce := func(hash string) string { return fmt.Sprintf("freshet_contract_info{hash=%q} 1", hash) }
	says("freshet_contract_refused 0", inForce(before))

	// The good part of a bad file has no effect either.
	if hash := write("max_skew: 7m\nnonsense: true\n"); hash != "" {
		t.Fatalf("the bad file is good: %s", hash)
	}
	p.signal(syscall.SIGHUP)
	says("freshet_contract_refused 1", inForce(before))
	for range 3 {
		said := p.refusals()
		p.signal(syscall.SIGHUP)
		p.until(ctx, func() string {
			if n := p.refusals(); n <= said {
				return fmt.Sprintf("a hangup does not let it say what is wrong with the file: %d times so far", n)
			}
			return ""
		})
	}
	says("freshet_contract_refused 1", inForce(before))
	if !strings.Contains(p.stderr.String(), "nonsense") {
		t.Errorf("it does not say what is wrong:\n%s", p.stderr.String())
	}

	after := write("max_skew: 7m\n")
	if after == "" || after == before {
		t.Fatalf("hash %q, was %q", after, before)
	}
	p.signal(syscall.SIGHUP)
	says("freshet_contract_refused 0", inForce(after))
	if strings.Contains(p.metrics(), inForce(before)) {
		t.Error("the contract of before is in force, too")
	}
	p.signal(syscall.SIGTERM)
	if status, took := p.ended(); status != 0 {
		t.Errorf("status %d after %v:\n%s", status, took, p.stderr.String())
	}
}

// refusals is how often the engine has said that it refuses its contract file.
func (p *process) refusals() int { return strings.Count(p.stderr.String(), "contract refused") }

// metrics is what the engine exports, "" if it does not answer.
func (p *process) metrics() string {
	resp, err := http.Get("http://" + p.http + "/metrics")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(b)
}
