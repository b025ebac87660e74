package sim

import (
	"strconv"
	"strings"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// client submits jobs and waits for those of the foreground, until it dies.
type client struct {
	*line
	mortal bool
	slow   bool // it does not read now
}

func newClient(w *world) {
	c := &client{mortal: !w.chance(3)}
	c.line = w.connect("client", c)
	if w.chance(2) {
		c.send(protocol.OptionReq, protocol.OptionExceptions)
	}
	c.later(c.some(50), c.think)
}

func (c *client) hear(p packet) {
	if p.typ == protocol.JobCreated && c.chance(8) && !c.slow {
		c.send(protocol.GetStatus, p.args[0])
	}
	if c.mortal && !c.calm && c.chance(60) {
		c.hangUp() // in the middle of something
	}
}

// think does what a client does next.
func (c *client) think() {
	if c.calm || c.slow {
		return
	}
	switch {
	case c.mortal && c.chance(25):
		c.hangUp()
		return
	case c.scale.slow && c.chance(12):
		c.doze()
		return
	case len(c.judge.live) < 40:
		for range 1 + c.IntN(3) {
			c.submit()
		}
	}
	c.later(c.some(150), c.think)
}

// doze stops reading for a while, in which it has more to read than fits. It asks for nothing then.
func (c *client) doze() {
	for range 3 {
		c.send(protocol.SubmitJobHigh, pick(c.Rand, "a", "b"), "", loud+c.token())
	}
	c.slow = true
	c.input(input{op: pause})
	c.later(c.some(1500), c.wake)
}

func (c *client) wake() {
	if c.slow {
		c.slow = false
		c.input(input{op: resume})
		c.think()
	}
}

func (c *client) heal() {
	if !c.dead {
		c.wake()
	}
}

func (c *client) submit() {
	function, unique, payload := pick(c.Rand, functions...), "", c.token()
	switch c.IntN(6) {
	case 0, 1, 2:
		if unique = pick(c.Rand, "k", "l", strings.Repeat("long", 16), "m"); !c.chance(6) {
			payload = "for " + unique
		}
	case 3:
		unique, payload = "-", pick(c.Rand, "x", "y", "", payload)
	}
	switch c.IntN(30) {
	case 0:
		payload = poison + payload
	case 1:
		payload += strings.Repeat(".", pick(c.Rand, 1500, 33000))
	}
	switch kind := c.IntN(12); kind {
	case 0:
		at := c.now.Unix() + int64(c.IntN(5)) - 1
		c.send(protocol.SubmitJobEpoch, function, unique, strconv.FormatInt(at, 10), payload)
	case 1:
		t := pick(c.Rand, protocol.SubmitReduceJob, protocol.SubmitReduceJobBg)
		c.send(t, function, unique, "reducer", "", payload)
	default:
		t := pick(c.Rand, protocol.SubmitJob, protocol.SubmitJob, protocol.SubmitJobHigh, protocol.SubmitJobLow,
			protocol.SubmitJobBg, protocol.SubmitJobHighBg, protocol.SubmitJobLowBg)
		c.send(t, function, unique, payload)
	}
}

const (
	poison = "poison " // kills most workers
	loud   = "loud "   // makes them talk a lot
)
