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
	"github.com/geartrain/geartrain/server/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is the scale of the queue alone, wide that of the server, where inputs coincide.
var (
	small = scale{width: 1, grain: 100 * time.Microsecond, faults: 3 * time.Second, clients: 5, workers: 6, retries: true}
	wide  = scale{width: 8, grain: 4 * time.Millisecond, faults: 3 * time.Second, clients: 6, workers: 8, slow: true}
)

// TestQueue simulates the queue alone.
func TestQueue(t *testing.T) {
	t.Parallel()
	play(t, 200, func(t *testing.T, seed uint64, run func(*testing.T, *world)) {
		run(t, newSmall(seed))
	})
}

func newSmall(seed uint64) *world {
	cfg, start := settings(seed), time.Unix(1_700_000_000, 0)
	return newWorld(seed, small, cfg, newAlone(seed, cfg, start), start)
}

// TestSeedReplays: the same seed is the same world, to the last packet.
func TestSeedReplays(t *testing.T) {
	t.Parallel()
	one, two := newSmall(7), newSmall(7)
	require.NoError(t, one.run())
	require.NoError(t, two.run())
	require.Equal(t, one.history.lines("", 0), two.history.lines("", 0))
}

// TestServer simulates the server over pipes: its goroutines are real, time is not.
func TestServer(t *testing.T) {
	t.Parallel()
	dropped := uint64(0)
	ran := play(t, 20, func(t *testing.T, seed uint64, run func(*testing.T, *world)) {
		synctest.Test(t, func(t *testing.T) {
			cfg := settings(seed)
			sys := newWhole(t, cfg, nil)
			defer sys.close()
			run(t, newWorld(seed, wide, cfg, sys, time.Now()))
			dropped += sys.srv.Snapshot().Counters.DroppedPackets
		})
	})
	if ran >= enough && !t.Failed() {
		require.NotZero(t, dropped, "no slow reader has lost a packet")
	}
}

// TestDurableServer holds a server with a store to all that holds for one in memory.
func TestDurableServer(t *testing.T) {
	t.Parallel()
	play(t, 5, func(t *testing.T, seed uint64, run func(*testing.T, *world)) {
		synctest.Test(t, func(t *testing.T) {
			cfg := settings(seed)
			cfg.KeepBody = 8 // so that most payloads are read from the store
			sys := newWhole(t, cfg, &store.Memory{})
			defer sys.close()
			run(t, newWorld(seed, wide, cfg, sys, time.Now()))
		})
	})
}

// play runs a world for each seed, and makes sure that in many of them everything has happened. It
// says how many that were.
func play(t *testing.T, few int, build func(t *testing.T, seed uint64, run func(*testing.T, *world))) (ran int) {
	first, n, one := seeds(t, few)
	var sum tally
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			build(t, seed, func(t *testing.T, w *world) {
				ran++
				err := w.run()
				if one && testing.Verbose() {
					w.tell(t)
				}
				require.NoError(t, err, "GEARTRAIN_SIM_SEED=%d", seed)
				sum.add(w.sys.counters())
			})
		})
	}
	t.Logf("%d worlds: %+v", ran, sum.Counters)
	if ran >= enough && !t.Failed() {
		require.Empty(t, sum.missing(), "never happened in %d worlds", ran)
	}
	return ran
}

// enough is in how many worlds everything happens at least once.
const enough = 20

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
