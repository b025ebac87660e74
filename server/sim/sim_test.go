package sim

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/server/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestQueue simulates the queue alone.
func TestQueue(t *testing.T) {
	t.Parallel()
	play(t, 200, func(t *testing.T, seed uint64, run func(*testing.T, *world)) {
		cfg, start := settings(seed), time.Unix(1_700_000_000, 0)
		run(t, newWorld(seed, scale{width: 1, grain: 100 * time.Microsecond, faults: 3 * time.Second, clients: 5, workers: 6, deadRetry: true},
			cfg, newAlone(seed, cfg, start), start))
	})
}

// TestServer simulates the server over pipes: its goroutines are real, time is not.
func TestServer(t *testing.T) {
	t.Parallel()
	dropped := uint64(0)
	play(t, 20, func(t *testing.T, seed uint64, run func(*testing.T, *world)) {
		synctest.Test(t, func(t *testing.T) {
			cfg := settings(seed)
			sys := newWhole(t, cfg)
			defer sys.close()
			run(t, newWorld(seed, scale{width: 8, grain: 4 * time.Millisecond, faults: 3 * time.Second, clients: 6, workers: 8, slow: true},
				cfg, sys, time.Now()))
			dropped += sys.srv.Snapshot().Counters.DroppedPackets
		})
	})
	t.Log("packets that slow readers lost:", dropped)
}

// play runs a world for each seed, and makes sure that something has happened in them.
func play(t *testing.T, few int, build func(t *testing.T, seed uint64, run func(*testing.T, *world))) {
	first, n, one := seeds(t, few)
	var sum tally
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			build(t, seed, func(t *testing.T, w *world) {
				err := w.run()
				if one && testing.Verbose() {
					w.tell(t)
				}
				require.NoError(t, err, "GEARTRAIN_SIM_SEED=%d", seed)
				sum.add(w.sys.counters())
			})
		})
	}
	t.Logf("%d worlds: %+v", n, sum)
	if n >= 20 && !t.Failed() {
		require.Empty(t, sum.missing(), "never happened in %d worlds", n)
	}
}

// tally is what happened in all worlds.
type tally struct{ queue.Counters }

func (t *tally) add(c queue.Counters) {
	sum, one := reflect.ValueOf(&t.Counters).Elem(), reflect.ValueOf(c)
	for i := range sum.NumField() {
		if sum.Field(i).Kind() == reflect.Uint64 {
			sum.Field(i).SetUint(sum.Field(i).Uint() + one.Field(i).Uint())
		}
	}
	t.Refused.MaxQueue += c.Refused.MaxQueue
	t.Refused.Conflict += c.Refused.Conflict
}

// missing names the counters that are zero, but for those of limits that no world sets.
func (t *tally) missing() (names []string) {
	sum := reflect.ValueOf(t.Counters)
	for i := range sum.NumField() {
		switch name := sum.Type().Field(i).Name; {
		case sum.Field(i).Kind() != reflect.Uint64 || sum.Field(i).Uint() > 0:
		case name == "DeadDropped", name == "DeadRetried":
		default:
			names = append(names, name)
		}
	}
	return names
}

// seeds are the ones to play; one says that it is a single one.
func seeds(t *testing.T, few int) (first, n uint64, one bool) {
	number := func(name string, or int) uint64 {
		text := os.Getenv(name)
		if text == "" {
			return uint64(or)
		}
		v, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, name)
		return v
	}
	if os.Getenv("GEARTRAIN_SIM_SEED") != "" {
		few = 1
	}
	n = number("GEARTRAIN_SIM_SEEDS", few)
	return number("GEARTRAIN_SIM_SEED", 1), n, n == 1
}
