package gateway

// gate is the lock of a partition: held from the start of a unit to its mark, and by the barrier. Who waits for it can give up, which a
// mutex does not allow: a partition that has ended inside a batch keeps its gate until the session is cleaned up, the barrier waits there
// with the gates of others, and those must be able to end, or the session never does.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

// Lock waits for the gate.
func (g gate) Lock() { g <- struct{}{} }

// LockUnless waits for the gate or for done, and says whether it has the gate.
func (g gate) LockUnless(done <-chan struct{}) bool {
	select {
	case g <- struct{}{}:
		return true
	default:
	}
	select {
	case g <- struct{}{}:
		return true
	case <-done:
		return false
	}
}

// Unlock gives the gate back.
func (g gate) Unlock() { <-g }
