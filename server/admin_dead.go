package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/store"
)

// payloadShown is how many bytes of a dead letter's payload are shown.
const payloadShown = 1024

const (
	unknownJob  = "ERR UNKNOWN_JOB\r\n"
	notPossible = "ERR QUEUE_ERROR The+key+is+in+use+or+the+queue+is+full\r\n"
)

// deadLetters: handle, function, key, attempts, bytes of payload, when it died.
func deadLetters(c *conn, _ []string) string {
	var b strings.Builder
	for d := range c.turn.state.DeadLetters() {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%d\t%d\t%s\n", d.Handle, oneLine(d.Function), oneLine(d.Unique),
			attemptsOf(&d), d.Size, timeText(d.Died))
	}
	return b.String() + listEnd
}

// showDead tells everything about one dead letter, a name and its values in each line. There is an
// "attempt" line for each attempt that is remembered: number, worker, begin, end, what it came to, and what
// the worker said of that, if it did.
func showDead(c *conn, args []string) string {
	if len(args) != 1 {
		return missing("show")
	}
	d, known := c.turn.state.DeadLetter(args[0])
	if !known {
		return unknownJob
	}
	payload, note := d.Payload, ""
	if d.Body != 0 {
		var err error
		if payload, err = c.stored(d.Body); err != nil {
			payload, note = nil, "(cannot be read)"
		}
	}
	if len(payload) > payloadShown {
		payload, note = payload[:payloadShown], "..."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "handle\t%s\nfunction\t%s\nunique\t%s\npriority\t%s\ndied\t%s\nattempts\t%d\nsize\t%d\npayload\t%s%s\n",
		d.Handle, oneLine(d.Function), oneLine(d.Unique), priorityName(d.Priority), timeText(d.Died),
		attemptsOf(&d), d.Size, oneLine(string(payload)), note)
	for _, a := range d.History {
		fmt.Fprintf(&b, "attempt\t%d\t%s\t%s\t%s\t%s", a.Number, oneLine(a.Worker), timeText(a.Started), timeText(a.Ended), a.Reason)
		if a.Detail != "" {
			b.WriteString("\t" + oneLine(a.Detail))
		}
		b.WriteByte('\n')
	}
	return b.String() + listEnd
}

// retryDead makes a dead letter a job again.
func retryDead(c *conn, args []string) string {
	if len(args) != 1 {
		return missing("retry")
	}
	d, known := c.turn.state.DeadLetter(args[0])
	if !known {
		return unknownJob
	}
	retry := queue.RetryDead{Handle: []byte(args[0])}
	if d.Body != 0 {
		var err error
		if retry.Payload, err = c.stored(d.Body); err != nil {
			return "ERR QUEUE_ERROR Its+payload+cannot+be+read\r\n"
		}
	}
	c.turn.apply(&retry)
	if _, still := c.turn.state.DeadLetter(args[0]); still {
		return notPossible
	}
	return ok
}

// stored reads a stored body within the connection's turn, which gives the lock back for it.
func (c *conn) stored(id store.ID) ([]byte, error) {
	c.letGo()
	defer c.turn.begin()
	return c.server.cfg.Store.Body(id)
}

// dropDead forgets a dead letter.
func dropDead(c *conn, args []string) string {
	if len(args) != 1 {
		return missing("drop")
	}
	if _, known := c.turn.state.DeadLetter(args[0]); !known {
		return unknownJob
	}
	c.turn.apply(&queue.DropDead{Handle: []byte(args[0])})
	return ok
}

// attemptsOf is how often it was handed out, also if not all of it is remembered.
func attemptsOf(d *queue.DeadLetter) int {
	if len(d.History) == 0 {
		return 0
	}
	return d.History[len(d.History)-1].Number
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func priorityName(p queue.Priority) string {
	switch p {
	case queue.High:
		return "high"
	case queue.Low:
		return "low"
	}
	return "normal"
}
