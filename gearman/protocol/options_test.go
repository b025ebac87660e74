package protocol_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestTaskOptionsRoundTrip(t *testing.T) {
	t.Parallel()
	for _, o := range []protocol.TaskOptions{
		{},
		{Background: true, Priority: 1, At: time.UnixMilli(1_800_000_000_123)},
		{Priority: -1, Retain: -1, Fresh: -1},
		{Retain: time.Hour, Fresh: time.Millisecond, Attempts: 3, Delay: time.Second, Backoff: 1.5, MaxDelay: time.Minute, Jitter: 0.2},
		{Timeout: time.Second, AcceptLate: true, Reject: true, Tell: true, Run: "r1.abc", Stage: "a b&c=d", Traceparent: "00-1-2-01"},
	} {
		got, err := protocol.ParseTaskOptions(o.Append(nil))
		require.NoError(t, err)
		require.Equal(t, o, got)
	}
}

func TestTaskOptionsErrors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"attempts=x", "delay=-1", "jitter=2", "backoff=0.5", "backoff=NaN", "retain=1.5", "%zz=1"} {
		_, err := protocol.ParseTaskOptions([]byte(text))
		require.Error(t, err, text)
	}
	_, err := protocol.ParseTaskOptions([]byte("what=ever"))
	require.NoError(t, err, "names of later versions are ignored")
}
