package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/geartrain/geartrain/server/store/files"
)

// Config says how to open a store. Only Dir must be given.
type Config struct {
	// Dir is the folder. It is made, for the owner only, if it does not exist.
	Dir string

	// Sync says when what was committed is on stable storage. The zero value is always: before Commit
	// returns.
	Sync Sync

	// Strict: Open fails if anything is damaged, and nothing is changed. It reads the whole log for that.
	Strict bool

	// Logger hears of damage, of the progress of a long Load, and of failures. Nil: nobody does.
	Logger *slog.Logger

	// Progress hears during Load how many bytes of how many were read.
	Progress func(done, total int64)

	// FS is the file system; nil: the machine's.
	FS files.System

	// SegmentSize is where a file ends and the next begins, in bytes: 16 MiB if zero. A batch may pass it.
	SegmentSize int64

	// Extend is by how many bytes a file grows ahead of what is written: 1 MiB if zero.
	Extend int64

	// Reserve is the room kept for deletes, and for what must not be refused, when the disk is full: 1 MiB
	// if zero. It should hold the deletes of all records of a segment, so that a full disk gets room again.
	Reserve int64

	// CompactRate is how many bytes the compaction moves in a second at most, as long as it keeps up:
	// 64 MiB if zero.
	CompactRate int64

	// Quiet: nothing is done in the background. Compact and Verify are called by whoever opened the store.
	Quiet bool

	logNumber uint64 // of a new folder; zero: a random one
}

func (c *Config) defaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.FS == nil {
		c.FS = files.OS{}
	}
	for value, otherwise := range map[*int64]int64{
		&c.SegmentSize: 16 << 20, &c.Extend: 1 << 20, &c.Reserve: 1 << 20, &c.CompactRate: 64 << 20,
	} {
		if *value <= 0 {
			*value = otherwise
		}
	}
}

// Sync is when a store syncs.
type Sync struct {
	mode     string        // "" is always
	interval time.Duration // of mode interval
}

const (
	syncInterval = "interval"
	syncNever    = "never"
)

// ParseSync reads "always", "never" or "interval=DURATION".
func ParseSync(text string) (Sync, error) {
	mode, value, found := strings.Cut(text, "=")
	switch {
	case text == "always":
		return Sync{}, nil
	case text == syncNever:
		return Sync{mode: syncNever}, nil
	case mode == syncInterval && found:
		d, err := time.ParseDuration(value)
		if err != nil {
			return Sync{}, fmt.Errorf("sync interval: %w", err)
		}
		if d <= 0 {
			return Sync{}, errors.New("sync interval: it must be more than zero, or use always or never")
		}
		return Sync{mode: syncInterval, interval: d}, nil
	}
	return Sync{}, fmt.Errorf("sync %q: say always, interval=DURATION or never", text)
}

// String is what ParseSync reads.
func (s Sync) String() string {
	switch s.mode {
	case "":
		return "always"
	case syncInterval:
		return syncInterval + "=" + s.interval.String()
	}
	return s.mode
}

func (s Sync) always() bool { return s.mode == "" }
