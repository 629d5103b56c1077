package programs

import (
	"fmt"
	"net"
	"testing"
)

// A port is given once, and is below those that systems hand out.
func TestFreePortsAreGivenOnce(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port, err := FreePort(2000)
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] || seen[port+2000] || port < firstPort || port >= lastPort {
			t.Errorf("port %d, and the one 2000 above it", port)
		}
		seen[port], seen[port+2000] = true, true
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if IsFree(port) {
		t.Errorf("%d is said to be free", port)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	at, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	if l, err = net.Listen("tcp", at); err != nil {
		t.Fatal(fmt.Errorf("a free address: %w", err))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
