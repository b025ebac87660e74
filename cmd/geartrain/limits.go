package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
)

// limitFlags are the flags of the server that bound what peers can make it hold. Zero: no limit.
type limitFlags struct {
	connections, perAddress       int
	packet, outbox, memory        byteSize
	functions, jobs, functionJobs int
	clients, handles, abilities   int
	names, uniques                int
	dead                          int
	deadBytes                     byteSize
	read, idle                    time.Duration
}

func (f *limitFlags) register(flags *pflag.FlagSet) {
	f.packet, f.outbox, f.deadBytes = protocol.DefaultMaxPacket, 64<<20, 64<<20
	flags.IntVar(&f.connections, "max-connections", 0, "connections at once, 0 for no limit (so for all --max-...)")
	flags.IntVar(&f.perAddress, "max-connections-per-address", 0, "connections at once from one address")
	flags.Var(&f.packet, "max-packet", "arguments of one packet, as 64MiB")
	flags.Var(&f.outbox, "max-outbox", "what may wait for a peer that does not read, as 64MiB")
	flags.Var(&f.memory, "max-memory", "all that is held: what is being read, what waits to be sent, jobs; beyond it new jobs are refused")
	flags.IntVar(&f.functions, "max-functions", 0, "functions known at a time")
	flags.IntVar(&f.jobs, "max-jobs", 0, "jobs in all")
	flags.IntVar(&f.functionJobs, "max-function-jobs", 0, "jobs of one function")
	flags.IntVar(&f.clients, "max-clients", 0, "clients attached to one job")
	flags.IntVar(&f.handles, "max-handles", 0, "jobs that one connection waits for")
	flags.IntVar(&f.abilities, "max-abilities", 0, "functions of one worker")
	flags.IntVar(&f.names, "max-function-name", 512, "bytes of a function's name")
	flags.IntVar(&f.uniques, "max-key", 1024, "bytes of a key")
	flags.IntVar(&f.dead, "dead-letters", 1000, "background jobs kept that used up their attempts, 0 for none")
	flags.Var(&f.deadBytes, "dead-letter-bytes", "what they may take, 0 for no limit")
	flags.DurationVar(&f.read, "read-timeout", 30*time.Second, "how long half a packet waits for the rest, 0 for ever")
	flags.DurationVar(&f.idle, "idle-timeout", 0, "how long a connection may be silent before it asks for or offers work, 0 for ever")
}

func (f *limitFlags) apply(cfg *server.Config) {
	cfg.MaxConnections, cfg.MaxConnectionsPerAddress = f.connections, f.perAddress
	cfg.MaxPacket, cfg.MaxOutbox, cfg.MaxMemory = f.packet.orMost(), f.outbox.orMost(), int64(f.memory)
	cfg.ReadTimeout, cfg.IdleTimeout = orNever(f.read), f.idle
	cfg.Queue.MaxFunctions, cfg.Queue.MaxJobs, cfg.Queue.MaxFunctionJobs = f.functions, f.jobs, f.functionJobs
	cfg.Queue.MaxClients, cfg.Queue.MaxHandles, cfg.Queue.MaxAbilities = f.clients, f.handles, f.abilities
	cfg.Queue.MaxFunctionName, cfg.Queue.MaxUnique = f.names, f.uniques
	cfg.Queue.DeadLetters, cfg.Queue.DeadLetterBytes = f.dead, int(f.deadBytes)
	if f.dead == 0 {
		cfg.Queue.DeadLetters = -1
	}
	if f.deadBytes == 0 {
		cfg.Queue.DeadLetterBytes = -1
	}
}

// byteSize is a flag in bytes: a number, or one with KiB, MiB, GiB (or K, M, G) behind it.
type byteSize int64

func (b *byteSize) Set(text string) error {
	shift := 0
	digits := text
	for i, unit := range []string{"K", "M", "G"} {
		for _, suffix := range []string{unit + "iB", unit} {
			if rest, ok := strings.CutSuffix(digits, suffix); ok {
				digits, shift = rest, 10*(i+1)
			}
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is no size; it looks like 4096, 512KiB or 64MiB", text)
	}
	*b = byteSize(n << shift)
	return nil
}

// orMost is the size, or for no limit the largest there is.
func (b byteSize) orMost() int {
	if b == 0 {
		return math.MaxInt
	}
	return int(b)
}

func (b *byteSize) String() string {
	n := int64(*b)
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n != 0 && n%(1<<unit.shift) == 0 {
			return strconv.FormatInt(n>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func (*byteSize) Type() string { return "size" }
