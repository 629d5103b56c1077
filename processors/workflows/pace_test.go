package workflows

import "testing"

// A search that waits for its turn ends with its partition, and is waited for.
func TestSearchesEndWithTheirPartition(t *testing.T) {
	var p pace
	p.start(nil)
	for range paceUnits {
		p.slots <- struct{}{}
	}
	sent := make(chan bool, 1)
	p.searches.Go(func() { sent <- p.send(recheck{}) })
	if p.over() {
		t.Error("it is over before it has been stopped")
	}
	p.stop()
	p.join()
	select {
	case ok := <-sent:
		if ok || !p.over() {
			t.Errorf("handed over: %v, over: %v", ok, p.over())
		}
	default:
		t.Error("a search goes on")
	}
}
