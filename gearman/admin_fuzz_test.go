package gearman_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

// Whatever a server answers to an admin command, the command ends, and says so when it was cut short.
func FuzzAdminAnswers(f *testing.F) {
	f.Add("f\tk\t3\t60\t3600\n.\n")
	f.Add("H:1\tf\tk\t1700000000\n.\n")
	f.Add("durable\tyes\nretention\tno\n.\n")
	f.Add("handle\tH:1\nattempt\t1\tw\t2026-11-30T00:00:00Z\t-\tworker lost\n.\n")
	f.Add("39 ::1 - : a b\n.\n")
	f.Add("ERR UNKNOWN_JOB\r\n")
	f.Add("OK 12\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, ask := range map[string]func(*gearman.Admin, context.Context) (int, error){
			"retained": func(a *gearman.Admin, ctx context.Context) (int, error) {
				l, err := a.Retained(ctx)
				return len(l), err
			},
			"scheduled": func(a *gearman.Admin, ctx context.Context) (int, error) {
				l, err := a.Scheduled(ctx)
				return len(l), err
			},
			"workers":    func(a *gearman.Admin, ctx context.Context) (int, error) { l, err := a.Workers(ctx); return len(l), err },
			"guarantees": func(a *gearman.Admin, ctx context.Context) (int, error) { _, err := a.Guarantees(ctx); return 0, err },
			"dead": func(a *gearman.Admin, ctx context.Context) (int, error) {
				_, err := a.DeadLetter(ctx, "H:1")
				return 0, err
			},
			"pid": func(a *gearman.Admin, ctx context.Context) (int, error) { _, err := a.PID(ctx); return 0, err },
		} {
			near, far := net.Pipe()
			go func() {
				_, _ = far.Read(make([]byte, 100))
				_, _ = io.WriteString(far, text) // the other end may have had enough
				far.Close()
			}()
			a, err := gearman.DialAdmin(t.Context(), gearman.AdminConfig{
				Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil },
			})
			require.NoError(t, err)
			n, err := ask(a, t.Context())
			require.LessOrEqual(t, n, len(text), name)
			if text == "" {
				require.ErrorIs(t, err, gearman.ErrConnectionLost, name)
			}
			a.Close()
		}
	})
}
