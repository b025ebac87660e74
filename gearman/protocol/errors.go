package protocol

import (
	"errors"
	"fmt"
)

// The codes of ERROR packets. The first six are gearmand's; clients may compare them.
const (
	CodeUnknownOption    = "UNKNOWN_OPTION"
	CodeJobNotFound      = "JOB_NOT_FOUND"
	CodeInvalidCommand   = "INVALID_COMMAND"
	CodeInvalidMagic     = "INVALID_MAGIC"
	CodeArgumentTooLarge = "ARGUMENT_TOO_LARGE"
	CodeQueueError       = "QUEUE_ERROR"
	CodeInvalidPacket    = "INVALID_PACKET"   // too few arguments, or one that is not what its place asks for
	CodePacketTooLarge   = "PACKET_TOO_LARGE" // over the server's limit; the connection is closed
	CodeKeyConflict      = "KEY_CONFLICT"     // same function and key, other payload, and the policy refuses that
	CodeShuttingDown     = "SHUTTING_DOWN"    // the server drains and takes no new jobs
	CodeLimit            = "LIMIT_EXCEEDED"   // a limit of the server other than the queue's
	CodeDiskFull         = "DISK_FULL"        // the job could not be stored and was not taken; it may work later
	CodeStoreFailed      = "STORE_FAILED"     // the same, and it will not work before the server is started again
)

// Sentinels of decoding; a [PacketError] wraps one of them.
var (
	// ErrMagic: the stream is not Gearman's, or it is out of step. It cannot be continued.
	ErrMagic = errors.New("protocol: bad magic")
	// ErrTooLarge: a packet or a line claims to be longer than the limit. Its bytes were not read;
	// the stream cannot be continued.
	ErrTooLarge = errors.New("protocol: over the size limit")
	// ErrType: a packet type that does not exist. The packet was consumed; the stream goes on.
	ErrType = errors.New("protocol: unknown packet type")
	// ErrArguments: fewer arguments than the type has. The packet was consumed; the stream goes on.
	ErrArguments = errors.New("protocol: too few arguments")
)

// PacketError says which packet could not be decoded and why. Err is one of the sentinels above.
type PacketError struct {
	Type Type
	Size int // claimed bytes after the header, or the line's bytes so far
	Err  error
}

func (e *PacketError) Error() string {
	return fmt.Sprintf("%v: %s of %d bytes", e.Err, e.Type, e.Size)
}

func (e *PacketError) Unwrap() error { return e.Err }

// Recoverable reports whether the stream is still in step after err, so that the next packet can be
// read from it.
func Recoverable(err error) bool {
	return errors.Is(err, ErrType) || errors.Is(err, ErrArguments)
}
