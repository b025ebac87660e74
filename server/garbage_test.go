package server_test

import (
	"math/rand/v2"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// garbage is a mixture of right packets, cut ones, wrong ones and noise.
func garbage(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for range 200 {
		switch r.IntN(6) {
		case 0:
			b = append(b, noise(r, r.IntN(40))...)
		case 1:
			b = append(b, "status\r\n"...)
		case 2:
			body := noise(r, r.IntN(60))
			b = protocol.AppendHeader(b, protocol.Request, protocol.Type(r.IntN(50)), len(body))
			b = append(b, body...)
		case 3:
			b = append(b, packet(protocol.SubmitJob, "f", string(noise(r, 8)), "x")...)
		case 4:
			b = append(b, packet(protocol.Type(1+r.IntN(42)), "a", "b", "c", "d", "e")...)
		case 5:
			b = append(b, packet(protocol.GrabJob)...)
		}
	}
	return b
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
