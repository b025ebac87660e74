package disk_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/disk"
	"github.com/geartrain/geartrain/server/store/storetest"
)

// TestMain bounds the random tests: each of their steps may sync a real disk.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "10"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func TestSuite(t *testing.T) {
	t.Parallel()
	storetest.Suite{
		Open: func(dir string) (store.Store, error) { return disk.Open(disk.Config{Dir: dir}) },
	}.Run(t)
}
