package embedded

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BenchmarkJournal is what a commit costs more than kfake's own.
func BenchmarkJournal(b *testing.B) {
	d := &directory{path: b.TempDir()}
	if err := os.Mkdir(d.at(logDir), 0o755); err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"groups.log", "pids.log"} {
		if err := os.WriteFile(filepath.Join(d.at(logDir), name), []byte("x"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	j, err := openJournal(d, false)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := j.close(); err != nil {
			b.Error(err)
		}
	}()
	req := kmsg.NewPtrEndTxnRequest()
	for b.Loop() {
		if err := j.begin(req); err != nil {
			b.Fatal(err)
		}
	}
}
