package store_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Suite{
		Open:     func(string) (store.Store, error) { return &store.Memory{}, nil },
		Volatile: true,
		Small:    func(_ string, bytes int64) (store.Store, error) { return &store.Memory{Limit: bytes}, nil },
	}.Run(t)
}
