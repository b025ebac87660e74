package protocol

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"
)

// TaskOptions are what a client says of a task beyond the old packets. The zero value says nothing: a
// foreground job of normal priority, as SUBMIT_JOB makes one.
//
// Their text form is that of a query: names and values joined by "=" and "&", with %XX for other bytes.
// Times are whole milliseconds, the moment counts from 1970; names that are not known are ignored, and
// what is not said is left out.
//
//	background=1 priority=high|low at=MS retain=MS fresh=MS attempts=N delay=MS backoff=F max_delay=MS
//	jitter=F timeout=MS late=accept conflict=reject retained=tell run=TEXT stage=TEXT traceparent=TEXT
type TaskOptions struct {
	Background bool
	Priority   int       // 1: high, 0: normal, -1: low
	At         time.Time // not before; zero: now

	Retain time.Duration // how long its result is kept as the answer for its key. Zero: the server's policy; negative: not at all
	Fresh  time.Duration // how old a kept result may be to be the answer. Zero: any age; negative: none, it runs again

	Attempts int           // runs in all, the server tries again itself. Zero: the server's policy
	Delay    time.Duration // before the second one
	Backoff  float64       // each further delay is so many times the one before. Zero: 2
	MaxDelay time.Duration // no delay is longer. Zero: a minute
	Jitter   float64       // a delay d is a random one of d±Jitter*d

	Timeout    time.Duration // of one attempt; the server takes the job away. Zero: what the worker said
	AcceptLate bool          // the result of a timed-out attempt is taken if it comes before the retry's
	Reject     bool          // refuse to join a job of this key with another payload
	Tell       bool          // JOB_RETAINED comes in the place of JOB_CREATED where a kept result is the answer

	Run, Stage  string // of a pipeline, for people
	Traceparent string // W3C trace context
}

// Append appends the text form to dst.
func (o *TaskOptions) Append(dst []byte) []byte {
	v := url.Values{}
	flag := func(name string, on bool, value string) {
		if on {
			v.Set(name, value)
		}
	}
	ms := func(name string, d time.Duration) {
		flag(name, d > 0, strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10))
	}
	flag("background", o.Background, "1")
	flag("priority", o.Priority > 0, "high")
	flag("priority", o.Priority < 0, "low")
	flag("at", !o.At.IsZero(), strconv.FormatInt(o.At.UnixMilli(), 10))
	ms("retain", o.Retain)
	flag("retain", o.Retain < 0, "0")
	ms("fresh", o.Fresh)
	flag("fresh", o.Fresh < 0, "0")
	flag("attempts", o.Attempts > 0, strconv.Itoa(o.Attempts))
	ms("delay", o.Delay)
	flag("backoff", o.Backoff > 0, strconv.FormatFloat(o.Backoff, 'g', -1, 64))
	ms("max_delay", o.MaxDelay)
	flag("jitter", o.Jitter > 0, strconv.FormatFloat(o.Jitter, 'g', -1, 64))
	ms("timeout", o.Timeout)
	flag("late", o.AcceptLate, "accept")
	flag("conflict", o.Reject, "reject")
	flag("retained", o.Tell, "tell")
	flag("run", o.Run != "", o.Run)
	flag("stage", o.Stage != "", o.Stage)
	flag("traceparent", o.Traceparent != "", o.Traceparent)
	return append(dst, v.Encode()...)
}

// ParseTaskOptions reads the text form. An error names the option.
func ParseTaskOptions(text []byte) (TaskOptions, error) {
	v, err := url.ParseQuery(string(text))
	if err != nil {
		return TaskOptions{}, fmt.Errorf("protocol: task options: %w", err)
	}
	p := optionParser{values: v}
	o := TaskOptions{
		Background: p.word("background", "1"),
		At:         p.moment("at"),
		Retain:     p.age("retain"),
		Fresh:      p.age("fresh"),
		Attempts:   int(min(p.number("attempts"), math.MaxInt32)),
		Delay:      p.duration("delay"),
		Backoff:    p.factor("backoff", 1, 1000),
		MaxDelay:   p.duration("max_delay"),
		Jitter:     p.factor("jitter", 0, 1),
		Timeout:    p.duration("timeout"),
		AcceptLate: p.word("late", "accept"),
		Reject:     p.word("conflict", "reject"),
		Tell:       p.word("retained", "tell"),
		Run:        v.Get("run"), Stage: v.Get("stage"), Traceparent: v.Get("traceparent"),
	}
	switch v.Get("priority") {
	case "high":
		o.Priority = 1
	case "low":
		o.Priority = -1
	}
	return o, p.err
}

// optionParser reads values and keeps the first error.
type optionParser struct {
	values url.Values
	err    error
}

func (p *optionParser) word(name, want string) bool { return p.values.Get(name) == want }

// number is a whole number from 0, 0 if it is not there.
func (p *optionParser) number(name string) int64 {
	text := p.values.Get(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if (err != nil || n < 0) && p.err == nil {
		p.err = fmt.Errorf("protocol: task options: %s=%.40q is not a number", name, text)
	}
	return max(n, 0)
}

func (p *optionParser) duration(name string) time.Duration {
	return time.Duration(min(p.number(name), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// age is a duration of which 0 is said by a negative one, since nothing said is 0.
func (p *optionParser) age(name string) time.Duration {
	if p.values.Has(name) && p.number(name) == 0 {
		return -1
	}
	return p.duration(name)
}

func (p *optionParser) moment(name string) time.Time {
	if n := p.number(name); n > 0 {
		return time.UnixMilli(n)
	}
	return time.Time{}
}

func (p *optionParser) factor(name string, low, high float64) float64 {
	text := p.values.Get(name)
	if text == "" {
		return 0
	}
	f, err := strconv.ParseFloat(text, 64)
	if (err != nil || !(f >= low && f <= high)) && p.err == nil {
		p.err = fmt.Errorf("protocol: task options: %s=%.40q is not a number from %g to %g", name, text, low, high)
		return 0
	}
	return f
}
