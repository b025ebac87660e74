package queue

// ref is where a record lies in an arena: its class in the upper bits, its slot in the lower ones.
// Zero is an empty record.
type ref uint32

const (
	fineStep  = 16 // between the sizes of records up to fineLimit
	fineLimit = 256
	step      = 64 // and of those up to inlineLimit
	// inlineLimit is the largest record in a shared page. A larger one has memory of its own.
	inlineLimit = 1024

	classes  = fineLimit/fineStep + (inlineLimit-fineLimit)/step
	ownClass = classes
	slotBits = 27
	maxSlot  = 1<<slotBits - 1
)

// arena keeps byte records: short ones in pages of equal sizes, so that a hole is used again and an
// empty page is given back; long ones each in memory of its own.
type arena struct {
	class [classes]class
	own   slab[[]byte]
}

// class is the records of one size.
type class struct {
	slots
	pages [][]byte
	spare []byte // one empty page
}

// put copies parts, one behind the other, into a new record.
func (a *arena) put(parts ...[]byte) ref {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	if n == 0 {
		return 0
	}
	var at ref
	var dst []byte
	if n > inlineLimit {
		dst = make([]byte, n)
		at = a.keep(dst)
	} else {
		at, dst = a.inline(n)
	}
	for _, part := range parts {
		dst = dst[copy(dst, part):]
	}
	return at
}

// keep makes b itself a record. From now on nobody may write to it.
func (a *arena) keep(b []byte) ref {
	slot, own := a.own.add()
	*own = b
	return ownClass<<slotBits | ref(slot)
}

// get is the record at r, which was n bytes long.
func (a *arena) get(r ref, n int) []byte {
	if r == 0 {
		return nil
	}
	slot := uint32(r & maxSlot)
	if r.own() {
		return *a.own.at(slot)
	}
	p, i := place(slot)
	size := classSize(int(r >> slotBits))
	return a.class[r>>slotBits].pages[p][i*size:][:n:n]
}

// own says that the record has memory of its own, which outlives it as long as anyone refers to it.
func (r ref) own() bool { return r>>slotBits == ownClass }

// drop forgets the record at r.
func (a *arena) drop(r ref) {
	switch slot := uint32(r & maxSlot); {
	case r == 0:
	case r.own():
		a.own.drop(slot)
	default:
		c := &a.class[r>>slotBits]
		if p, _ := place(slot); c.give(slot) {
			c.spare, c.pages[p] = c.pages[p], nil
		}
	}
}

func (a *arena) inline(n int) (ref, []byte) {
	k := classOf(n)
	c, size := &a.class[k], classSize(k)
	slot := c.take()
	p, i := place(slot)
	if p == len(c.pages) {
		c.pages = append(c.pages, nil)
	}
	if c.pages[p] == nil {
		if c.spare == nil {
			c.spare = make([]byte, pageSize*size)
		}
		c.pages[p], c.spare = c.spare, nil
	}
	return ref(k)<<slotBits | ref(slot), c.pages[p][i*size:][:n]
}

// classOf is the class for records of n bytes, 0 < n <= inlineLimit.
func classOf(n int) int {
	if n <= fineLimit {
		return (n - 1) / fineStep
	}
	return fineLimit/fineStep + (n-fineLimit-1)/step
}

// classSize is how long the records of class k can be.
func classSize(k int) int {
	if k < fineLimit/fineStep {
		return (k + 1) * fineStep
	}
	return fineLimit + (k-fineLimit/fineStep+1)*step
}
