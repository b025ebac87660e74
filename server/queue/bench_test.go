package queue

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// cycle is the way of one job, with events and effects that are used again.
type cycle struct {
	state    *State
	now      time.Time
	out      []Effect
	submit   Submit
	grab     Grab
	report   Report
	status   Report
	sleep    PreSleep
	assigned []byte
}

func newCycle(functions int) *cycle {
	c := &cycle{state: New(Config{}), now: time.Unix(1_700_000_000, 0), out: make([]Effect, 0, 64)}
	c.apply(&Join{Peer: 1})
	c.apply(&Join{Peer: 2})
	for i := range functions {
		c.apply(&CanDo{Peer: 2, Function: fmt.Appendf(nil, "f%d", i), Timeout: time.Minute})
	}
	c.submit = Submit{Peer: 1, Function: []byte("f0"), Unique: []byte("some-key"), Payload: make([]byte, 64), Priority: Normal}
	c.grab, c.sleep = Grab{Peer: 2}, PreSleep{Peer: 2}
	c.report = Report{Peer: 2, Kind: Complete, Data: []byte("done")}
	c.status = Report{Peer: 2, Kind: Status, Data: []byte("1"), Second: []byte("2")}
	return c
}

func (c *cycle) apply(ev Event) {
	c.out = c.state.Apply(c.now, ev, c.out[:0])
}

// run is PRE_SLEEP, SUBMIT_JOB, GRAB_JOB, WORK_STATUS, WORK_COMPLETE and a GRAB_JOB in vain.
func (c *cycle) run() {
	c.apply(&c.sleep)
	c.apply(&c.submit)
	c.apply(&c.grab)
	c.assigned = append(c.assigned[:0], c.out[0].Args[0]...)
	c.report.Handle, c.status.Handle = c.assigned, c.assigned
	c.apply(&c.status)
	c.apply(&c.report)
	c.apply(&c.grab)
}

func TestNoAllocations(t *testing.T) {
	c := newCycle(3)
	c.run()
	require.Equal(t, protocol.NoJob, c.out[0].Type)
	require.Zero(t, testing.AllocsPerRun(1000, c.run))
	require.Equal(t, c.state.counters.Completed, c.state.counters.Wakeups)
}

func BenchmarkCycle(b *testing.B) {
	c := newCycle(1)
	b.ReportAllocs()
	for b.Loop() {
		c.run()
	}
}

// BenchmarkManyFunctions is the same for a worker of 5000 functions.
func BenchmarkManyFunctions(b *testing.B) {
	c := newCycle(5000)
	b.ReportAllocs()
	for b.Loop() {
		c.run()
	}
}

// BenchmarkManySleepers has 5000 workers asleep beside the one that works.
func BenchmarkManySleepers(b *testing.B) {
	c := newCycle(1)
	for id := Peer(3); id < 5003; id++ {
		c.apply(&Join{Peer: id})
		c.apply(&CanDo{Peer: id, Function: []byte("f0")})
		c.apply(&PreSleep{Peer: id})
	}
	b.ReportAllocs()
	for b.Loop() {
		c.apply(&c.submit)
		woken := c.out[1].To
		c.apply(&Grab{Peer: woken})
		c.apply(&Report{Peer: woken, Kind: Complete, Handle: append(c.assigned[:0], c.out[0].Args[0]...)})
		c.apply(&PreSleep{Peer: woken})
	}
}

// BenchmarkFlood queues a million background jobs of 64 bytes with keys of 16 and drains them.
func BenchmarkFlood(b *testing.B) {
	const jobs = 1_000_000
	for b.Loop() {
		c := newCycle(1)
		before := heap()
		start := time.Now()
		flood(c, jobs)
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/jobs, "ns/submit")
		full := heap()
		b.ReportMetric(float64(full-before)/jobs, "B/job")
		start = time.Now()
		for range jobs {
			c.apply(&c.grab)
			c.report.Handle = append(c.assigned[:0], c.out[0].Args[0]...)
			c.apply(&c.report)
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/jobs, "ns/drain")
		b.ReportMetric(100*float64(full-heap())/float64(full-before), "%freed")
		runtime.KeepAlive(c)
	}
}

// BenchmarkDurable queues background jobs of 1 KiB that are stored a thousand at a time, does them with
// results that are kept, and asks for these.
func BenchmarkDurable(b *testing.B) {
	const jobs = 300_000
	for b.Loop() {
		c := newCycle(0)
		c.state = New(Config{Durable: true, Policies: []Policy{{Pattern: "f0", Retain: time.Hour}}})
		c.apply(&Join{Peer: 1})
		c.apply(&Join{Peer: 2})
		c.apply(&CanDo{Peer: 2, Function: []byte("f0")})
		c.submit.Payload = make([]byte, 1024)
		before := heap()
		start := time.Now()
		flood(c, jobs)
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/jobs, "ns/submit")
		b.ReportMetric(float64(heap()-before)/jobs, "B/job")
		start = time.Now()
		for range jobs {
			c.apply(&c.grab)
			c.report.Handle = append(c.assigned[:0], c.out[0].Args[0]...)
			c.apply(&c.report)
		}
		c.apply(&Committed{Seq: c.state.seq})
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/jobs, "ns/drain")
		b.ReportMetric(float64(heap()-before)/jobs, "B/result")
		start = time.Now()
		flood(c, jobs)
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/jobs, "ns/answer")
		runtime.KeepAlive(c)
	}
}

func flood(c *cycle, jobs int) {
	ev := c.submit
	ev.Background = true
	for i := range jobs {
		ev.Unique = fmt.Appendf(ev.Unique[:0], "key-%012d", i)
		c.apply(&ev)
		if i%1000 == 999 && c.state.seq > 0 {
			c.apply(&Committed{Seq: c.state.seq})
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
