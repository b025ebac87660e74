package queue

// timer is the time of a job, a result or a worker. Two of the same time go off in the order of their serials.
type timer struct {
	at     int64
	serial uint64
	slot   uint32
}

func (t timer) before(u timer) bool {
	return t.at < u.at || t.at == u.at && t.serial < u.serial
}

// timers is a heap of jobs, of results or of workers, by time. Each is in at most one of them and knows where.
type timers struct {
	heap  []timer
	place func(slot uint32) *uint32 // 1 + where in the heap, 0: nowhere
}

// first is the next timer to go off.
func (t *timers) first() (timer, bool) {
	if len(t.heap) == 0 {
		return timer{}, false
	}
	return t.heap[0], true
}

func (t *timers) add(slot uint32, serial uint64, at int64) {
	t.heap = append(t.heap, timer{at, serial, slot})
	t.up(len(t.heap) - 1)
}

func (t *timers) remove(slot uint32) {
	place := t.place(slot)
	i := int(*place) - 1
	*place = 0
	last := len(t.heap) - 1
	moved := t.heap[last]
	t.heap = t.heap[:last]
	if i < last {
		t.set(i, moved)
		t.down(i)
		t.up(int(*t.place(moved.slot)) - 1)
	}
	if cap(t.heap) > 1024 && len(t.heap) < cap(t.heap)/4 {
		t.heap = append(make([]timer, 0, 2*len(t.heap)), t.heap...)
	}
}

func (t *timers) set(i int, at timer) {
	t.heap[i] = at
	*t.place(at.slot) = uint32(i + 1)
}

func (t *timers) up(i int) {
	x := t.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !x.before(t.heap[parent]) {
			break
		}
		t.set(i, t.heap[parent])
		i = parent
	}
	t.set(i, x)
}

func (t *timers) down(i int) {
	x := t.heap[i]
	for {
		child := 2*i + 1
		if child >= len(t.heap) {
			break
		}
		if child+1 < len(t.heap) && t.heap[child+1].before(t.heap[child]) {
			child++
		}
		if !t.heap[child].before(x) {
			break
		}
		t.set(i, t.heap[child])
		i = child
	}
	t.set(i, x)
}
