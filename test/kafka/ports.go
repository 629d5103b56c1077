//go:build unix

package kafka

import (
	"fmt"

	"github.com/freshet-io/freshet/internal/programs"
)

// brokerPorts is how far the brokers' own listener is above that of clients.
const brokerPorts = 2000

// pick returns n free ports: those from first on, or any.
func pick(first, n int) ([]int, error) {
	var all []int
	for i := range n {
		port := first + i
		if first == 0 {
			var err error
			if port, err = programs.FreePort(brokerPorts); err != nil {
				return nil, err
			}
		} else if !programs.IsFree(port) {
			return nil, fmt.Errorf("port %d is taken", port)
		}
		all = append(all, port)
	}
	return all, nil
}

// Ports returns n ports of loopback that are free now and stay so: systems do not hand them out.
func Ports(n int) ([]int, error) { return pick(0, n) }
