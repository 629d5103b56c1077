package programs

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
)

// Ports are taken below those that systems hand out, to outgoing connections and to those who listen on any: who comes back, or is told a port
// before it listens there, has to find it free.
const (
	firstPort = 20000
	lastPort  = 30000
)

// given are the ports that this process has handed out already: what listens on them may not have begun to.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePort returns a port of loopback on which nothing listens, nor on those so far above it. It is given once, and stays free: systems do not
// hand it out.
func FreePort(above ...int) (int, error) {
	given.Lock()
	defer given.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		ports := []int{port}
		for _, n := range above {
			ports = append(ports, port+n)
		}
		if slices.ContainsFunc(ports, func(p int) bool { return given.ports[p] || !IsFree(p) }) {
			continue
		}
		for _, p := range ports {
			given.ports[p] = true
		}
		return port, nil
	}
	return 0, fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}

// FreeAddress returns an address of loopback with such a port.
func FreeAddress() (string, error) {
	port, err := FreePort()
	return "127.0.0.1:" + strconv.Itoa(port), err
}

// IsFree says whether nothing listens on a port of loopback.
func IsFree(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
