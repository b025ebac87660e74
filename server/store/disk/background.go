package disk

import (
	"context"
	"errors"
	"time"

	"github.com/geartrain/geartrain/server/store"
)

// begin starts what goes on beside commits.
func (s *Store) begin() {
	if s.cfg.Quiet {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.running.Go(func() { s.compacting(ctx) })
	s.running.Go(func() { s.verifying(ctx) })
	if s.cfg.Sync.mode == syncInterval {
		s.running.Go(func() { s.syncEvery(ctx, s.cfg.Sync.interval) })
	}
	s.again()
}

// compactSoon wakes the compaction if there may be something to do.
func (s *Store) compactSoon() {
	if !s.wasteful || s.cfg.Quiet {
		return
	}
	s.wasteful = false
	s.again()
}

// compacting compacts whenever it is woken, but neither on and on for nothing, nor against a full disk.
func (s *Store) compacting(ctx context.Context) {
	const again, troubled = 100 * time.Millisecond, time.Second
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		wait := again
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = s.Compact(ctx); err == nil || ctx.Err() != nil {
				continue
			}
			if errors.Is(err, store.ErrFailed) {
				return
			}
			if !errors.Is(err, store.ErrFull) {
				s.cfg.Logger.Warn("the log is not compacted; it is tried again", "error", err)
			}
			more, wait = false, troubled
			s.again()
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

func (s *Store) again() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Store) syncEvery(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.write.Lock()
		if s.usable() == nil {
			_ = s.syncActive() // it has said so itself, and every Commit will
		}
		s.write.Unlock()
	}
}

// verifying reads all that is there once a day: Load did it before.
func (s *Store) verifying(ctx context.Context) {
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.Verify(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("the log could not be verified", "error", err)
		}
	}
}
