package flowtest

import (
	"os"
	"testing"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/cassette"
)

// RecordVariable names the variable of the environment that makes [Cassette] record, when it is not empty.
const RecordVariable = "GEARTRAIN_RECORD"

// Cassette gives a runner that plays the recording in dir, so that no handler is called. A job that is not
// in the recording fails, and so does the test. With GEARTRAIN_RECORD=1 in the environment the handlers are
// called, and dir is written when the test has passed:
//
//	out, err := Crawl.Run(t.Context(), flowtest.Cassette(t, "testdata/crawl", flowtest.Do(Fetch, fetch)), urls)
//
// A pipeline whose arguments have the time in them needs a RunOptions.ScheduledAt of its own.
func Cassette(t testing.TB, dir string, handlers ...Handler) *flow.Runner {
	t.Helper()
	if os.Getenv(RecordVariable) == "" {
		return &flow.Runner{Tape: replayed(t, dir)}
	}
	tape := cassette.New(dir, nil)
	r := NewRunner(t, handlers...)
	r.Tape = tape
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if err := tape.Save(nil); err != nil {
			t.Error(err)
		}
	})
	return r
}

func replayed(t testing.TB, dir string) *cassette.Cassette {
	t.Helper()
	tape, err := cassette.Open(dir)
	if err != nil {
		t.Fatalf("%v; make one with %s=1 go test -run %s", err, RecordVariable, t.Name())
	}
	t.Cleanup(func() {
		misses, count := tape.Misses()
		if count == 0 {
			return
		}
		first := misses[0]
		t.Errorf("%d jobs have no recording in %s; the first is of stage %q, arguments %s: %s; if that is meant: %s=1 go test -run %s",
			count, dir, first.Stage, first.Arguments.JSON(), first.Why, RecordVariable, t.Name())
	})
	return tape
}
