package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// fence is what goes around in an ECHO_REQ.
const fence = "fence"

// peer is one connection. Packets that are sent wait until there is nothing more to decode of what
// has come, so that a read's worth of answers costs one write. It is for one goroutine.
type peer struct {
	name string // as in CheckError
	conn net.Conn
	in   inbox
	out  []byte // not yet written
}

// newPeer is for packets with payloads of so many bytes.
func newPeer(name string, conn net.Conn, size int) *peer {
	return &peer{name: name, conn: conn, in: inbox{src: conn, limit: size + packetSlack}}
}

// send adds a packet to what waits; tail continues its last argument. A large tail is written at
// once, so it need not be copied.
func (p *peer) send(t protocol.Type, tail []byte, args ...[]byte) error {
	size := max(len(args)-1, 0) + len(tail)
	for _, a := range args {
		size += len(a)
	}
	p.out = protocol.AppendHeader(p.out, protocol.Request, t, size)
	for i, a := range args {
		if i > 0 {
			p.out = append(p.out, 0)
		}
		p.out = append(p.out, a...)
	}
	if len(tail) < protocol.LargeBody {
		p.out = append(p.out, tail...)
		return nil
	}
	buffers := net.Buffers{p.out, tail}
	_, err := buffers.WriteTo(p.conn)
	p.out = p.out[:0]
	return p.lost(err)
}

// flush writes what waits.
func (p *peer) flush() error {
	if len(p.out) == 0 {
		return nil
	}
	_, err := p.conn.Write(p.out)
	p.out = p.out[:0]
	return p.lost(err)
}

// receive returns the next packet, valid until the next call, and flushes before it waits for one.
// ERROR and everything that is not a server's packet are errors.
func (p *peer) receive() (protocol.Packet, error) {
	for {
		packet, ok, err := p.in.next()
		switch {
		case err != nil:
			return packet, p.wrong(ErrPacket, "%v", err)
		case ok && packet.Magic != protocol.Response:
			return packet, p.wrong(ErrPacket, "%s with the magic of a request", packet.Type)
		case ok && packet.Type == protocol.Error:
			return packet, p.wrong(ErrRefused, "ERROR %.40q %.200q", packet.Arg(0), packet.Arg(1))
		case ok:
			return packet, nil
		}
		if err := p.flush(); err != nil {
			return packet, err
		}
		if err := p.in.fill(); err != nil {
			return packet, p.lost(err)
		}
	}
}

// echo goes to the server and back. What comes before its answer is handed to other.
func (p *peer) echo(other func(protocol.Packet) error) error {
	if err := p.send(protocol.EchoReq, nil, []byte(fence)); err != nil {
		return err
	}
	for {
		packet, err := p.receive()
		if err != nil {
			return err
		}
		if packet.Type == protocol.EchoRes {
			return p.checkEcho(packet)
		}
		if err := other(packet); err != nil {
			return err
		}
	}
}

func (p *peer) checkEcho(packet protocol.Packet) error {
	if got := packet.Arg(0); !bytes.Equal(got, []byte(fence)) {
		return p.wrong(ErrPayload, "ECHO_RES of %.40q, sent %q", got, fence)
	}
	return nil
}

// unexpected is the error for a packet that has no place there.
func (p *peer) unexpected(packet protocol.Packet) error {
	return p.wrong(ErrPacket, "%s %.80q", packet.Type, packet.Arg(0))
}

func (p *peer) wrong(err error, format string, args ...any) error {
	return p.sign(wrong(noJob, err, format, args...))
}

// sign says who noticed, where err is about the server's doing.
func (p *peer) sign(err error) error {
	var check *CheckError
	if errors.As(err, &check) {
		check.Peer = p.name
	}
	return err
}

func (p *peer) lost(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: connection lost: %w", p.name, err)
}
