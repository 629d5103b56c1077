package credential_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/freshet-io/freshet/query/credential"
	"github.com/freshet-io/freshet/query/credential/issue"
)

const patience = 30 * time.Second

// speak says whether two credentials take each other: from connects to a server of to, and reads what it says.
func speak(t *testing.T, from, to *credential.Credential) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = tls.NewListener(l, to.Server(tls.RequireAndVerifyClientCert))
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, err := conn.Write([]byte("hello"))
			_ = errors.Join(err, conn.Close())
		}
	}()
	conn, err := from.Dial(t.Context(), &net.Dialer{}, "tcp", l.Addr().String(), patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.ReadFull(conn, make([]byte, 5))
	return err
}

func opened(t *testing.T, files credential.Files) *credential.Credential {
	t.Helper()
	c, err := credential.Open(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Both sides change to another authority while they run; what is wrong on disk changes nothing.
func TestFilesAreReadAgain(t *testing.T) {
	one, other := issue.NewAuthority(t), issue.NewAuthority(t)
	files := one.Files(t, issue.Named("peer"))
	server, client := opened(t, files), opened(t, one.Files(t, issue.Named("peer")))
	if err := speak(t, client, server); err != nil {
		t.Fatal(err)
	}
	stranger := opened(t, other.Files(t, issue.Named("peer")))
	if speak(t, stranger, server) == nil || speak(t, client, stranger) == nil {
		t.Error("who is signed by another authority is taken")
	}
	if changed, err := server.Reread(); changed || err != nil {
		t.Errorf("nothing has changed: %v, %v", changed, err)
	}
	for _, name := range []string{files.Cert, files.Key, files.Authorities} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("nothing"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Reread(); err == nil {
			t.Errorf("%s has nothing in it, and is taken", filepath.Base(name))
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := speak(t, client, server); err != nil {
			t.Errorf("after a wrong file: %v", err)
		}
	}
	other.Write(t, files, issue.Named("peer"))
	if changed, err := server.Reread(); !changed || err != nil {
		t.Errorf("all has changed: %v, %v", changed, err)
	}
	if err := speak(t, stranger, server); err != nil {
		t.Errorf("the new authority's: %v", err)
	}
	if speak(t, client, server) == nil {
		t.Error("the old authority's is still taken")
	}
}

func TestExpiredCertificates(t *testing.T) {
	a := issue.NewAuthority(t)
	good := opened(t, a.Files(t, issue.Named("peer")))
	old := opened(t, a.Files(t, issue.Named("peer"), issue.Ended(time.Now().Add(-time.Minute))))
	if speak(t, old, good) == nil || speak(t, good, old) == nil {
		t.Error("an expired certificate is taken")
	}
}

func TestWhatIsMissing(t *testing.T) {
	files := issue.NewAuthority(t).Files(t, issue.Named("peer"))
	files.Key = filepath.Join(t.TempDir(), "none")
	if _, err := credential.Open(files); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := opened(t, issue.NewAuthority(t).Files(t, issue.Named("peer")))
	if _, err := c.Dial(ctx, &net.Dialer{}, "tcp", "127.0.0.1:1", patience); err == nil {
		t.Error("it has dialled nobody")
	}
	if _, err := c.Dial(t.Context(), &net.Dialer{}, "tcp", "nowhere", patience); err == nil {
		t.Error("an address without a port")
	}
}
