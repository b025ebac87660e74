package server_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/servertest"
)

// filled is a payload that differs from all others in every part of it.
func filled(n, seed int) string {
	word := fmt.Appendf(nil, "<%d>", seed)
	return string(bytes.Repeat(word, n/len(word)+1)[:n])
}

// The memory of large packets is used again as soon as nobody needs it. If that were too soon,
// payloads would show up in one another.
func TestLargePayloadsKeepTheirBytes(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const jobs = 30
	sizes := []int{33 << 10, 36 << 10, 100 << 10, 400 << 10}
	var all sync.WaitGroup
	for pair := range 4 {
		function := fmt.Sprintf("echo%d", pair)
		worker, client, second := dial(t, s), dial(t, s), dial(t, s)
		worker.send(protocol.CanDo, function)
		worker.echo()
		all.Go(func() {
			for i := range jobs {
				payload, data := filled(sizes[i%4], pair<<16+i), filled(sizes[(i+1)%4], -i)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					client.Write(packet(protocol.SubmitJob, function, "key", payload))
				}()
				h := client.expect(protocol.JobCreated)[0]
				<-sent
				second.Write(packet(protocol.SubmitJob, function, "key", payload))
				second.expect(protocol.JobCreated, h)
				if i%5 == 0 { // a worker takes it and dies
					lost := dial(t, s)
					lost.send(protocol.CanDo, function)
					lost.send(protocol.GrabJob)
					require.True(t, lost.expect(protocol.JobAssign, h, function)[2] == payload)
					lost.Close()
					require.Eventually(t, func() bool {
						worker.send(protocol.GetStatus, h)
						return worker.expect(protocol.StatusRes, h)[2] == "0"
					}, patience, 1e6)
				}
				worker.send(protocol.GrabJob)
				require.True(t, worker.expect(protocol.JobAssign, h, function)[2] == payload)
				go worker.Write(append(packet(protocol.WorkData, h, data), packet(protocol.WorkComplete, h, payload)...))
				for _, c := range []*peer{client, second} {
					require.True(t, c.expect(protocol.WorkData, h)[1] == data)
					require.True(t, c.expect(protocol.WorkComplete, h)[1] == payload)
				}
			}
		})
	}
	all.Wait()
}
