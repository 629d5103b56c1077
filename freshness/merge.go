package freshness

// Merge adds all that another fold of the same workflow knows: the union of two sets of events. The other one is not changed, and shares
// strings with this one afterwards.
func (w *Workflow) Merge(o *Workflow, lim *Limits) Touched {
	f := folding{w: w, lim: lim}
	f.t.From, f.t.To = forever, beginning
	if len(w.Lines) == 0 || len(o.Lines) > 0 && o.Traffic < w.Traffic {
		w.Traffic = o.Traffic
	}
	for _, l := range o.Lines {
		l.At = w.moved(o, l.At, lim)
		if added, _ := w.addLine(l, lim, &f.t); added {
			f.t.New = true
		}
	}
	if o.Type.Name != "" && o.Type.before(&w.Type) {
		if w.Type.Name != o.Type.Name {
			f.t.touch(beginning, forever, false)
		}
		w.Type = o.Type
	}
	if o.Begun.Set && o.Begun.before(&w.Begun) {
		w.Begun = o.Begun
	}
	if o.Over.Set && o.Over.before(&w.Over) {
		w.Over = o.Over
	}
	if o.Cut.Items > 0 && (w.Cut.Items == 0 || o.Cut.LoadsThrough > w.Cut.LoadsThrough) {
		w.cutLoads(o.Cut.LoadsThrough, &f.t)
	}
	for i := range o.Items {
		f.mergeHolding(o, &o.Items[i])
	}
	w.cutItems(lim, &f.t)
	w.cutRepeats(lim, &f.t)
	for _, s := range o.Steps {
		f.putStep(s)
	}
	if o.Cut.Uses > 0 {
		w.cutUsesThrough(o.Cut.UsesThrough, &f.t)
	}
	for _, uses := range [][]Use{o.Uses, o.Rivals} {
		for _, u := range uses {
			u.At = w.moved(o, u.At, lim)
			said := u.Said
			f.admit(&u)
			if kept := w.Use(u.DecisionID, u.Kind); kept != nil && said.Revision > kept.Said.Revision {
				kept.Said = said
			}
		}
	}
	w.Cut.merge(&o.Cut)
	return f.t
}

// moved returns a position of another workflow as one of this.
func (w *Workflow) moved(o *Workflow, at At, lim *Limits) At {
	at.Topic = w.topic(o.TopicOf(at).Topic, lim)
	return at
}

func (f *folding) mergeHolding(o *Workflow, from *Holding) {
	for _, l := range from.Loads {
		l.At = f.w.moved(o, l.At, f.lim)
		if h := f.w.hold(from.Kind, from.Key, l.Time, f.lim); h != nil {
			f.putLoad(h, l)
		}
	}
	for _, d := range from.Drops {
		if h := f.w.hold(from.Kind, from.Key, d.Time, f.lim); h != nil {
			f.putDrop(h, d)
		}
	}
	if !from.Cut {
		return
	}
	if h := f.w.hold(from.Kind, from.Key, from.Through, f.lim); h != nil {
		h.leaveOut(from.Through, &f.t)
	}
}

func (c *Cut) merge(o *Cut) {
	if o.Steps > 0 && (c.Steps == 0 || o.StepsThrough > c.StepsThrough) {
		c.StepsThrough = o.StepsThrough
	}
	c.Loads, c.Uses, c.Steps = max(c.Loads, o.Loads), max(c.Uses, o.Uses), max(c.Steps, o.Steps)
	c.Lines, c.Items, c.Refs = max(c.Lines, o.Lines), max(c.Items, o.Items), max(c.Refs, o.Refs)
}
