package jobserver

import (
	"context"
	"errors"
	"flag"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func double() gearman.Func[int, int] { return gearman.NewFunc[int, int]("double") }

func registerDouble(w *gearman.Worker) {
	double().Handle(w, func(_ context.Context, n int) (int, error) { return 2 * n, nil })
}

func askDouble(t *testing.T) func(*gearman.Client) error {
	return func(client *gearman.Client) error {
		got, err := double().Do(t.Context(), client, 21)
		require.Equal(t, 42, got)
		return err
	}
}

func TestServerInside(t *testing.T) {
	t.Setenv("GEARTRAIN_SERVERS", "")
	t.Setenv("GEARMAN_SERVERS", "")
	require.NoError(t, Servers{}.Ask(t.Context(), registerDouble, askDouble(t)))

	trouble := errors.New("trouble")
	err := Servers{}.Ask(t.Context(), registerDouble, func(*gearman.Client) error { return trouble })
	require.ErrorIs(t, err, trouble)
}

func TestServerNamed(t *testing.T) {
	srv := servertest.Start(t)
	t.Setenv("GEARTRAIN_SERVERS", srv.Addr)
	ctx, stop := context.WithCancel(t.Context())
	var worker sync.WaitGroup
	worker.Go(func() { require.NoError(t, Servers{}.Serve(ctx, registerDouble)) })
	defer worker.Wait()
	defer stop()
	err := Servers{}.Ask(ctx, func(*gearman.Worker) { t.Error("there is a server already") }, askDouble(t))
	require.NoError(t, err)
}

func TestFlag(t *testing.T) {
	t.Setenv("GEARTRAIN_SERVERS", "")
	t.Setenv("GEARMAN_SERVERS", "c, d:1")
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	servers := Flag(flags)
	require.Equal(t, []string{"c", "d:1"}, servers.named())
	t.Setenv("GEARTRAIN_SERVERS", "e")
	require.Equal(t, []string{"e"}, servers.named())
	require.NoError(t, flags.Parse([]string{"-S", "a:1,b", "-S", "f"}))
	require.Equal(t, []string{"a:1", "b", "f"}, servers.named())
}
