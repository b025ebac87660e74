// Package protocol is Gearman's wire: packets and admin lines as bytes, and nothing else. It holds
// the constants with their layouts, the limits, and the code that encodes and decodes. It opens no
// sockets, starts no goroutines and reads no clock, so client, worker, server, proxies and test
// tools can all stand on it.
//
// # A packet
//
//	0        4        8        12                12+size
//	+--------+--------+--------+------------------+
//	| magic  | type   | size   | arguments        |
//	+--------+--------+--------+------------------+
//	  \0REQ    uint32   uint32   a NUL b NUL ... last
//	  \0RES    big end. big end.
//
// The arguments are separated by NUL bytes; the last one may itself contain NULs. How many there
// are is fixed by the type ([Type.Arity]).
//
// # An admin line
//
// A message whose first byte is not NUL is a line of text up to LF or CRLF. Lines and packets may
// be mixed on one connection. A [Reader] that allows lines gives them as packets of type [Text].
//
// # The life of a read
//
//	Fill ──► bytes in the buffer ──► Next ──► Packet ──► Next ... ──► nothing complete ──► Fill
//	           (one Read each)        its arguments alias the buffer until the next Fill
//
// A body of [LargeBody] bytes or more is read into memory of its own, which the packet hands over
// to the receiver (see [Packet].Owned); so a relay can forward it without copying.
//
// # Extensions
//
// What goes beyond Gearman 1.1 is asked for with OPTION_REQ, which a stock server refuses with
// ERROR, and is described byte by byte in extensions.go.
package protocol
