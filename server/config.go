package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/store"
)

// Config is how a server behaves. The zero value is a working one. It is copied by [New].
type Config struct {
	// Queue is passed on to the queue: handles, retries, limits of jobs and functions.
	Queue queue.Config

	// Store keeps background jobs and retained results. It is loaded by [Server.Serve], which has written
	// everything to it when it returns; whoever opened it closes it after that. Nil: all is in memory.
	Store store.Store

	// EndOnStoreFailure makes [Server.Serve] end with the store's error when the storage has failed.
	// Otherwise foreground jobs go on, and background submissions are answered with ERROR.
	EndOnStoreFailure bool

	// BackupRoot is the folder under which the admin command "backup" may write. Empty: nowhere
	BackupRoot string

	// Version is the answer to the admin command "version". Default: "geartrain".
	Version string

	// Insecure allows [Server.Listen] to open an address that other machines can reach, without TLS
	// and without a token: whoever reaches it can run and read every job.
	Insecure bool

	// AdminShutdown allows the admin command "shutdown" to everyone who can connect.
	AdminShutdown bool

	MaxConnections           int // open at once; one more is told ERROR and closed. Default: no limit
	MaxConnectionsPerAddress int // the same for one IP address. Default: no limit

	MaxPacket int // bytes of arguments in one packet. Default: 64 MiB
	MaxLine   int // bytes of an admin line. Default: 4096

	// MaxOutbox is how many bytes may wait for a peer that does not read; beyond it the connection
	// is closed. One packet may exceed it, whatever its size. Beyond a quarter of it WORK_DATA,
	// WORK_WARNING and WORK_STATUS for the peer are dropped and counted. Default: 64 MiB
	MaxOutbox int

	// MaxMemory is how many bytes may be held in all: packets that are being read, outboxes, and
	// what the queue holds. From seven eighths of it on, submissions of new jobs are answered with
	// ERROR, while joining a job is still possible, and peers that do not read lose their connections,
	// those that have left most unread first. At the limit large packets are not read further; grabs
	// and results of running work go on. Default: no limit
	MaxMemory int64

	// ReadTimeout is how long half a packet may wait for the rest; every 64 KiB of it that arrive give
	// as much time again. Default: 30 s; negative: for ever
	ReadTimeout time.Duration

	// IdleTimeout is how long a connection may be silent that has not yet asked for or offered any
	// work. Default: for ever
	IdleTimeout time.Duration

	// DrainTimeout is how long the graceful end waits for running foreground jobs. Default: 30 s;
	// negative: not at all
	DrainTimeout time.Duration

	// KeepAlive is for TCP connections that [Server.Listen]'s listeners accept. Default: Go's.
	KeepAlive net.KeepAliveConfig

	// Logger gets what an operator wants to know; lines about peers are limited in number. Default:
	// slog.Default()
	Logger *slog.Logger
}

// defaultKeepBody is how long a payload may be that stays in memory although it is stored.
const defaultKeepBody = 256

// withDefaults returns a copy with every default filled in.
func (c Config) withDefaults() Config {
	c.Version = cmp.Or(c.Version, "geartrain")
	c.MaxPacket = cmp.Or(c.MaxPacket, protocol.DefaultMaxPacket)
	c.MaxLine = cmp.Or(c.MaxLine, 4096)
	c.MaxOutbox = cmp.Or(c.MaxOutbox, 64<<20)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 30*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 30*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

// listTime is how long a peer may take to read a page of a listing.
func (c Config) listTime() time.Duration {
	if c.ReadTimeout < 0 {
		return 24 * time.Hour
	}
	return c.ReadTimeout
}

// validate finds all settings that make no sense.
func (c Config) validate() error {
	var errs []error
	for _, s := range []struct {
		name  string
		value int64
	}{
		{"MaxConnections", int64(c.MaxConnections)},
		{"MaxConnectionsPerAddress", int64(c.MaxConnectionsPerAddress)},
		{"MaxPacket", int64(c.MaxPacket)},
		{"MaxLine", int64(c.MaxLine)},
		{"MaxOutbox", int64(c.MaxOutbox)},
		{"MaxMemory", c.MaxMemory},
		{"IdleTimeout", int64(c.IdleTimeout)},
	} {
		if s.value < 0 {
			errs = append(errs, fmt.Errorf("server: %s is %d, it must not be negative", s.name, s.value))
		}
	}
	return errors.Join(errs...)
}
