// Package store is the seam between the job server and whatever keeps its jobs over a restart: one
// record for each job, replaced by its result, under the job's number. It knows nothing of Gearman: what
// a record's head means is the queue's business.
//
// # The life of a record
//
//	          Put             PutHead              Put (the result)             Delete
//	(nothing) ───► job ───────────────────► job ─────────────────────► result ────────► (nothing)
//	                │  attempts, priority                                               ▲
//	                └───────────────────────────────────────────────────────────────────┘
//	                                          Delete (ended, not retained)
//
// The queue lets no second job live under the key of a first one, and gives a result the number of the
// job it came from. So there is one record for each (function, key), and a key cannot outlive its job but
// as a retained result.
//
// # Promises
//
// A Commit that returned nil is on stable storage, whole and in order. One that returned an error is not
// there after a restart: what was refused never runs. After [ErrFailed] nothing more is taken.
package store

import (
	"context"
	"errors"
)

var (
	// ErrFull: there is no room for the operations. None of them was stored, and they may be tried again.
	ErrFull = errors.New("store: no space left")

	// ErrFailed: the storage could not say whether something was written, a failed sync for instance. It
	// is final for this store: it takes nothing more and gives what it has.
	ErrFailed = errors.New("store: the storage has failed")

	// ErrNotFound: there is no record with that number.
	ErrNotFound = errors.New("store: no such record")

	// ErrDamaged: the record's bytes are not those that were stored. It is never given away.
	ErrDamaged = errors.New("store: the record is damaged")
)

// ID is a record's number: that of its job, which is never used again. Zero is none.
type ID uint64

// Record is what is kept of one job.
type Record struct {
	ID   ID
	Head []byte // what the queue wants to know at the start; at most MaxHead bytes
	Body []byte // payload or result
}

// MaxHead is the longest head.
const MaxHead = 1 << 20

// Kind says what an operation does.
type Kind uint8

const (
	Put     Kind = iota + 1 // the record is as given, whatever it was
	PutHead                 // the record has another head and the body it had; none if there is no record
	Delete                  // there is no record; Head and Body are not looked at
)

// MaxBody is the longest body.
const MaxBody = 1<<32 - 1

// Op is one change of one record. Its bytes belong to the store until Commit returns.
type Op struct {
	Kind Kind
	Record

	// Must: nobody can be told that it was refused. A store keeps some room back for such operations,
	// and for deletes, and gives it to a batch that has no others.
	Must bool
}

// Store keeps records. Body, Stats and Backup may be called from any goroutine, also during a Commit;
// Stats also during Load; the other methods by one at a time.
type Store interface {
	// Load gives every record, in the order of the numbers, to fn, which must not keep its bytes. A body
	// of more than inline bytes is left out: it is nil, and Body gives it. An error of fn ends it and is
	// returned. It is called once, before all else. Records that are damaged are left out, and counted
	// in Stats.
	Load(ctx context.Context, inline int, fn func(Record) error) error

	// Commit returns when all ops are on stable storage, or none is: nil, ErrFull or ErrFailed, wrapped.
	// Where one of a batch has no room none of it is stored: those that Must be can be tried by
	// themselves.
	Commit(ops []Op) error

	// Body reads the body of one record: ErrNotFound or ErrDamaged, wrapped, if it cannot.
	Body(id ID) ([]byte, error)

	// Backup writes a copy as of now into dir, which must not exist or be empty, and can be opened there:
	// that is how one restores. It is [errors.ErrUnsupported], wrapped, where nothing is on disk.
	Backup(ctx context.Context, dir string) error

	// Stats are figures for people.
	Stats() Stats

	// Close syncs and lets go of everything. Nothing may be called after it.
	Close() error
}

// Stats are a store's figures.
type Stats struct {
	Durable bool   // records survive the end of the process
	Sync    string // when they are on stable storage: "always", "interval=1s", "never"; empty if not Durable
	Path    string // where they are; empty: nowhere

	Records  int64 // live
	Bytes    int64 // used on disk
	Commits  uint64
	Syncs    uint64
	SyncTime int64  // nanoseconds spent in them
	Damaged  uint64 // records set aside since the start
	Cut      uint64 // bytes cut off the ends of files at the start
	Full     uint64 // commits refused for want of space
	Failed   bool   // ErrFailed is all it says
}
