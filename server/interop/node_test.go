//go:build unix

package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A client in each library with one key: one run, and an answer for each of them.
func TestNodeUniq(t *testing.T) {
	t.Parallel()
	if reason := nodeMissing(); reason != "" {
		t.Skip(reason)
	}
	hello := file(t, "hello")
	onServers(t, func(t *testing.T, s jobServer) {
		var clients []*process
		for _, library := range []string{"gearmanode", "abraxas"} {
			cmd := clientCommand("node", "node/"+library+"-client.js", s, task{"node.reverse", hello})
			clients = append(clients, start(t, setenv(cmd, nodePath(), "KEY=one")))
		}
		s.awaitClients(t, "node.reverse", "one", 2)
		s.awaitStatus(t, "node.reverse", counts{jobs: 1})
		nodeWorker("abraxas")(t, s, "node")
		for _, client := range clients {
			require.Zero(t, client.wait(t), client.err.String())
			require.Equal(t, "node.reverse: complete olleh\n", client.out.String())
		}
	})
}
