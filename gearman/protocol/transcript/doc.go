// Package transcript reads and plays conversations with a job server that are written as text. They
// live in testdata/wire, one rule of the protocol each, and are played against whatever can be a
// job server: a state machine, a server over pipes, a real gearmand.
//
//	text ──► Parse ──► Script ──► Player.Play ──► World (Dial, Advance) ──► Conn (Send, Receive)
//
// # A conversation
//
//	# A job goes to a worker and its result to the client.
//	# not: gearmand, the reason why it does otherwise
//
//	W> CAN_DO reverse
//	C> SUBMIT_JOB reverse "" "hello world"
//	C< JOB_CREATED $h
//	W> GRAB_JOB
//	W< JOB_ASSIGN $h reverse "hello world"
//	+30s
//	A> status
//	A< reverse\t1\t1\t1
//	A< .
//	W hangs up
//
// The first comment says the rule. A line is one of
//
//	# text                  a comment, or a directive (below)
//	PEER> TYPE ARG...       the peer sends a packet
//	PEER> malformed TYPE .. the same, with the wrong number of arguments, "RES" for the wrong
//	                        direction, or a number as the type
//	PEER> raw BYTES         the peer sends bytes as they are
//	PEER> WORD...           the peer sends an admin line: the words with single spaces
//	PEER< TYPE ARG...       the next thing that the peer receives is this packet
//	PEER< WORD...           ... or this line
//	PEER< ...               any number of messages come before the next one that is expected
//	PEER hears nothing      nothing has come that was not expected
//	PEER hangs up           the peer closes its connection
//	PEER is closed          the server closes the peer's connection
//	+DURATION               time passes
//
// A peer connects at its first line, and again at its first line after it hung up. At the end of
// the conversation no peer may have received more than was expected.
//
// # A word
//
// Words are separated by blanks. "Quotes" keep blanks and everything else as it is. A backslash
// escapes as in Go strings (\t \n \r \0 \xNN \\ \" \$ \* \{ \@), inside quotes and outside. Outside
// quotes there are also
//
//   - any bytes, also none
//     $name      binds on first use to any bytes (at least one), and must be the same ever after
//     x{500}     the byte before it, so many times
//     @+30s      the time of the world 30 s from now, as decimal Unix seconds; also @-30s
//
// # Directives
//
//	# only: WORLD WORLD...   the worlds that this conversation is for
//	# not: WORLD, REASON     one that it is not for, and why: an intended difference
//	# needs: NAME=VALUE      a setting of the server, as in gearmand's --NAME=VALUE
package transcript
