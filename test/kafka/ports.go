//go:build unix

package kafka

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken below those that systems hand out to outgoing connections: a broker has to find its own free when it comes back.
const (
	firstPort   = 20000
	lastPort    = 30000
	brokerPorts = 2000 // the brokers' own listener is so far above that of clients
)

// pick returns n free ports: those from first on, or any.
func pick(first, n int) ([]int, error) {
	var all []int
	if first != 0 {
		for i := range n {
			if !free(first + i) {
				return nil, fmt.Errorf("port %d is taken", first+i)
			}
			all = append(all, first+i)
		}
		return all, nil
	}
	for range 1000 {
		if port := firstPort + rand.IntN(lastPort-firstPort); free(port) && free(port+brokerPorts) {
			if all = append(all, port); len(all) == n {
				return all, nil
			}
		}
	}
	return nil, fmt.Errorf("no free ports between %d and %d", firstPort, lastPort)
}

// Ports returns n ports of loopback that are free now and stay so: systems do not hand them out.
func Ports(n int) ([]int, error) { return pick(0, n) }

func free(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
