package sim

// operate does something to the queue from outside, now and then.
func (w *world) operate() {
	if w.calm {
		return
	}
	in := input{op: pick(w.Rand, cancel, cancel, drop, limit, retry)}
	switch in.op {
	case cancel:
		if len(w.handles) > 0 {
			in.name = w.handles[max(0, len(w.handles)-1-w.IntN(20))]
		}
	case drop, limit:
		in.name = pick(w.Rand, functions...)
		in.max = pick(w.Rand, 0, 0, 1, 3)
	case retry:
		if dead := w.sys.dead(); len(dead) > 0 && w.retries {
			in.name = pick(w.Rand, dead...).Handle
		}
	}
	if in.name != "" {
		w.push(w.soon(0), event{in: &in})
	}
	w.after(w.some(400), w.operate)
}
