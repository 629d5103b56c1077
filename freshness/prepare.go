package freshness

// Prepare works out what judging would otherwise keep on the way. From then on, as long as nothing is folded or merged, any number of
// goroutines may judge the workflow at once, each into a Verdict of its own.
func (w *Workflow) Prepare() {
	if len(w.Uses) > few {
		w.findUse("", Proposed)
	}
	if n := len(w.Steps); n > few {
		w.held(beginning, w.Steps[n-1].Time+1)
	}
}
