package server

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/server/queue"
)

// Listings are made page by page. Between two pages the lock is given back and the peer reads, so
// that a listing of a million jobs holds nobody up and is never in memory as a whole. What changes
// meanwhile is in it as it was when its page was made; an answer to a packet that the same connection
// has sent may come between two pages, which is between two lines.
const (
	pageLines   = 1000
	pageBacklog = 256 << 10 // bytes that a peer may have left unread when it is given the next page
)

// nextPage gives the lock back between two pages and waits until the peer has read. It reports false
// when the peer does not, and its connection is closed.
func (c *conn) nextPage() bool {
	c.letGo()
	defer c.turn.begin()
	c.fetch()
	c.waitHeld(c.server.cfg.listTime())
	if c.out.backlog() <= pageBacklog {
		return true
	}
	c.out.wait(c.server.cfg.listTime())
	if c.out.backlog() > pageBacklog {
		c.out.abandon()
	}
	return c.out.failure() == nil
}

// pages sends n lines. line appends the i-th one, or nothing if there is none any more.
func (c *conn) pages(n int, line func(b *strings.Builder, i int)) string {
	var b strings.Builder
	for i := range n {
		if i > 0 && i%pageLines == 0 {
			c.reply(b.String())
			b.Reset()
			if !c.nextPage() {
				return ""
			}
		}
		line(&b, i)
	}
	return b.String() + listEnd
}

// sorted sorts a listing's keys. Of many ones it does so without the lock.
func sorted[T string | queue.Peer](c *conn, keys []T) []T {
	if len(keys) > pageLines {
		c.letGo()
		defer c.turn.begin()
	}
	slices.Sort(keys)
	return keys
}

func (c *conn) functions(line func(b *strings.Builder, f *queue.FunctionInfo)) string {
	names := sorted(c, c.turn.state.FunctionNames())
	return c.pages(len(names), func(b *strings.Builder, i int) {
		if f, known := c.turn.state.Function(names[i]); known {
			line(b, &f)
		}
	})
}

// jobs lists all jobs.
func (c *conn) jobs(line func(b *strings.Builder, j *queue.JobInfo)) string {
	return places(c, c.turn.state.JobsFrom, line)
}

// places lists things whose number is not known before, from one place to the next.
func places[T any](c *conn, from func(place uint32) iter.Seq2[uint32, T], line func(b *strings.Builder, thing *T)) string {
	var b strings.Builder
	for place, more := uint32(0), true; more; {
		more = false
		lines := 0
		for at, thing := range from(place) {
			if lines++; lines > pageLines {
				place, more = at, true
				break
			}
			line(&b, &thing)
		}
		if more {
			c.reply(b.String())
			b.Reset()
			if !c.nextPage() {
				return ""
			}
		}
	}
	return b.String() + listEnd
}

// status: function, jobs in all, running, workers that can do it.
func status(c *conn, _ []string) string {
	return c.functions(func(b *strings.Builder, f *queue.FunctionInfo) {
		fmt.Fprintf(b, "%s\t%d\t%d\t%d\n", oneLine(f.Name), f.Total(), f.Running, f.Workers)
	})
}

// priorityStatus: function, waiting jobs by priority, workers. Scheduled jobs are not waiting yet.
func priorityStatus(c *conn, _ []string) string {
	return c.functions(func(b *strings.Builder, f *queue.FunctionInfo) {
		fmt.Fprintf(b, "%s\t%d\t%d\t%d\t%d\n", oneLine(f.Name),
			f.Queued[queue.High], f.Queued[queue.Normal], f.Queued[queue.Low], f.Workers)
	})
}

// workers: number of the connection, address, client id, functions.
func workers(c *conn, _ []string) string {
	peers := sorted(c, c.turn.state.Peers())
	return c.pages(len(peers), func(b *strings.Builder, i int) {
		w, known := c.turn.state.Worker(peers[i])
		if !known {
			return
		}
		id := w.ID
		if id == "" {
			id = "-"
		}
		fmt.Fprintf(b, "%d %s %s :", w.Peer, w.Address, oneWord(id))
		for _, f := range w.Functions {
			b.WriteString(" " + oneWord(f))
		}
		b.WriteByte('\n')
	})
}

// showJobs: handle, how often it was handed out again, whether its end is ignored (never, here),
// whether it is a background job.
func showJobs(c *conn, args []string) string {
	if len(args) > 0 {
		return incompleteShow(c, args)
	}
	return c.jobs(func(b *strings.Builder, j *queue.JobInfo) {
		retries, background := j.Attempts, 0
		if j.State == queue.Running {
			retries--
		}
		if j.Background {
			background = 1
		}
		fmt.Fprintf(b, "%s\t%d\t0\t%d\n", j.Handle, retries, background)
	})
}

// showUniqueJobs: the key of each job.
func showUniqueJobs(c *conn, args []string) string {
	if len(args) > 0 {
		return incompleteShow(c, args)
	}
	return c.jobs(func(b *strings.Builder, j *queue.JobInfo) {
		b.WriteString(oneLine(j.Unique) + "\n")
	})
}

// oneLine keeps a peer's name from forging lines or columns that tabs divide: control bytes are
// written as \xNN, and so is a period that would end the list.
func oneLine(name string) string {
	if name == "." {
		return `\x2e`
	}
	return escaped(name, isControl)
}

// oneWord is oneLine where spaces divide columns.
func oneWord(name string) string {
	return escaped(name, func(r rune) bool { return isControl(r) || r == ' ' })
}

func escaped(name string, unsafe func(rune) bool) string {
	if strings.IndexFunc(name, unsafe) < 0 {
		return name
	}
	var b strings.Builder
	for _, r := range []byte(name) {
		if unsafe(rune(r)) {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteByte(r)
		}
	}
	return b.String()
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
