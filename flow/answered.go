package flow

// maxAnswered is how many keys of ended jobs a stage remembers, twice over.
const maxAnswered = 1 << 17

// answered remembers the keys of the jobs of a stage that ended last, so that a further item with
// such a key takes their answer. It holds between one and two times maxAnswered of them: when the
// young generation is full it becomes the old one. An item that comes later than that is submitted
// with its key, and the server decides whether it runs again. The zero value is empty.
type answered struct {
	young, old map[keyHash]answerCode
}

// answer is where a key's answer is.
type answer struct {
	place  int
	failed bool
}

// answerCode is an answer in the space of its place: twice that, and one more for a failure.
type answerCode int64

func (a *answered) find(key keyHash) (answer, bool) {
	found, ok := a.young[key]
	if !ok {
		found, ok = a.old[key]
	}
	return answer{int(found >> 1), found&1 == 1}, ok
}

func (a *answered) add(key keyHash, found answer) {
	if len(a.young) >= maxAnswered {
		a.young, a.old = nil, a.young
	}
	if a.young == nil {
		a.young = map[keyHash]answerCode{}
	}
	code := answerCode(found.place) << 1
	if found.failed {
		code++
	}
	a.young[key] = code
}
