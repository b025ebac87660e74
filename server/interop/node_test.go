//go:build unix

package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A client in each library with one key: one run, and an answer for each of them.
func TestNodeUniq(t *testing.T) {
	t.Parallel()
	libraries := []string{"gearmanode", "abraxas", "gearman", "node-gearman"} // the others have no keys
	for _, library := range libraries {
		if reason := nodeMissing(library)(); reason != "" {
			t.Skip(reason)
		}
	}
	hello := file(t, "hello")
	onServers(t, func(t *testing.T, s jobServer) {
		var clients []*process
		for _, library := range libraries {
			cmd := nodeScript(library, "client", s.addr, "node.reverse", hello)
			clients = append(clients, start(t, setenv(cmd, "KEY=one")))
		}
		s.awaitClients(t, "node.reverse", "one", len(clients))
		s.awaitStatus(t, "node.reverse", counts{jobs: 1})
		nodeWorker("abraxas")(t, s, "node")
		for _, client := range clients {
			require.Zero(t, client.wait(t), client.err.String())
			require.Equal(t, "node.reverse: complete olleh\n", client.out.String())
		}
	})
}
