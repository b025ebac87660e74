package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server/queue"
)

func TestPolicies(t *testing.T) {
	t.Parallel()
	cfg, err := parsed(t,
		"--retain", "fetch.*=12h,fresh=90s,stale=1h", "--retain=*=7d",
		"--payload-guard", "pay.*=reject", "--payload-guard=*=count",
		"--retry", "mail=5,delay=10s,backoff=1.5,max-delay=1h,jitter=0.2", "--retry", "x=1",
		"--late", "slow.*=accept", "--late=*=drop",
		"--retained-max-bytes=1MiB", "--retained-max-count=7", "--retained-max-one=1KiB",
	).config(slog.Default())
	require.NoError(t, err)
	require.Equal(t, []queue.Policy{
		{Pattern: "fetch.*", Retain: 12 * time.Hour, Fresh: 90 * time.Second, Stale: time.Hour},
		{Pattern: "*", Retain: 7 * 24 * time.Hour},
		{Pattern: "pay.*", Conflict: queue.Reject},
		{Pattern: "*", Conflict: queue.Count},
		{Pattern: "mail", Retry: queue.Retry{Attempts: 5, Delay: 10 * time.Second, Backoff: 1.5, MaxDelay: time.Hour, Jitter: 0.2}},
		{Pattern: "x", Retry: queue.Retry{Attempts: 1}},
		{Pattern: "slow.*", Late: queue.LateTaken},
		{Pattern: "*", Late: queue.LateDropped},
	}, cfg.Queue.Policies)
	require.Equal(t, 7, cfg.Queue.MaxResults)
	require.EqualValues(t, 1<<20, cfg.Queue.MaxResultBytes)
	require.Equal(t, 1<<10, cfg.Queue.MaxResult)
}

func TestWrongPoliciesAreUsageErrors(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--retain", "f"}, {"--retain", "=1h"}, {"--retain", "f="}, {"--retain", "f=soon"}, {"--retain", "f=-1h"},
		{"--retain", "f=0"}, {"--retain", "f=1h,fresh"}, {"--retain", "f=1h,old=1h"}, {"--retain", "f=1h,fresh=1h,fresh=2h"},
		{"--retain", "f=fresh=1h"}, {"--retain", "[=1h"}, {"--retain", "f=1h,fresh=never"}, {"--retain", "f=NaNd"},
		{"--payload-guard", "f=maybe"}, {"--late", "f=never"}, {"--retry", "f=0"}, {"--retry", "f=1,jitter=2"}, {"--retry", "f=1,backoff=x"},
		{"--sync", "sometimes"}, {"--on-store-failure", "panic"}, {"--strict"},
	} {
		err := parsed(t, args...).check()
		require.Error(t, err, "%q", args)
		require.Contains(t, err.Error(), args[0])
		require.Equal(t, exitUsage, codeOf(err), "%q", args)
	}
}
