package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transcript keeps what many goroutines write.
type transcript struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) lines() []string { return strings.Split(strings.TrimSpace(t.text.String()), "\n") }

func TestHello(t *testing.T) {
	t.Setenv("GEARTRAIN_SERVERS", "")
	t.Setenv("GEARMAN_SERVERS", "")
	var lines []string
	for pause := time.Second; ; pause *= 2 {
		var out transcript
		require.NoError(t, run(t.Context(), []string{"-pause", pause.String()}, &out))
		lines = out.lines()
		require.Len(t, lines, 12)
		added, waiting := slices.Index(lines, "done adding tasks"), slices.Index(lines, "waiting")
		require.Less(t, added, waiting)
		if waiting > 1 {
			break
		}
		require.Less(t, pause, time.Minute, "results arrive before the client waits, on a busy machine later")
	}
	for i := range 10 {
		require.Contains(t, lines, fmt.Sprintf("job %d: hello %d", i, i))
	}
}
