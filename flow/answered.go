package flow

// maxAnswered is how many keys of ended jobs a stage remembers, twice over.
const maxAnswered = 1 << 18

// answered remembers the keys of the jobs of a stage that ended last, so that a further item with
// such a key takes their answer. It holds between one and two times maxAnswered of them: when the
// young generation is full it becomes the old one. An item that comes later than that is submitted
// with its key, and the server decides whether it runs again. The zero value is empty.
type answered struct {
	young, old map[keyHash]answer
}

// answer is where a key's answer is.
type answer struct {
	place  int
	failed bool
}

func (a *answered) find(key keyHash) (answer, bool) {
	if found, ok := a.young[key]; ok {
		return found, true
	}
	found, ok := a.old[key]
	return found, ok
}

func (a *answered) add(key keyHash, found answer) {
	if len(a.young) >= maxAnswered {
		a.young, a.old = nil, a.young
	}
	if a.young == nil {
		a.young = map[keyHash]answer{}
	}
	a.young[key] = found
}
