package flow

import (
	"strconv"
	"sync"

	"github.com/google/uuid"

	"github.com/geartrain/geartrain/gearman"
)

// maxTried is how many keys of failed attempts a worker remembers, twice over.
const maxTried = 50_000

// attempts numbers the attempts at a key in one worker. A server numbers those at one job; a client
// that tries again submits a new job with the same key, and the server begins with 1. It remembers
// between one and two times maxTried of the keys that failed last. The zero value is empty. Its methods
// may be called from any goroutine.
type attempts struct {
	mu         sync.Mutex // guards what follows
	young, old map[string]int
}

// number is that of an attempt at key: one more than the last that failed here, or the server's if that
// is higher.
func (a *attempts) number(key string, server int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(server, a.last(key)+1)
}

// ended notes how an attempt ended.
func (a *attempts) ended(key string, number int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		delete(a.young, key)
		delete(a.old, key)
		return
	}
	if len(a.young) >= maxTried {
		a.young, a.old = nil, a.young
	}
	if a.young == nil {
		a.young = map[string]int{}
	}
	a.young[key] = max(number, a.last(key))
}

func (a *attempts) last(key string) int {
	if n, ok := a.young[key]; ok {
		return n
	}
	return a.old[key]
}

// do runs an attempt, with the variables that tell it from others. A job without a key is another each
// time.
func (a *attempts) do(job *gearman.Job, run func(env []string) ([]byte, error)) ([]byte, error) {
	fence, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	key := job.Function() + "\x00" + job.Key()
	number := max(job.Attempt(), 1)
	if job.Key() != "" {
		number = a.number(key, job.Attempt())
	}
	result, err := run([]string{
		"GEARTRAIN_ATTEMPT=" + strconv.Itoa(number),
		"GEARTRAIN_FENCE=" + fence.String(),
	})
	if job.Key() != "" {
		a.ended(key, number, err)
	}
	return result, err
}
