package gearman

import (
	"encoding/hex"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

type point struct {
	X, Y int
	Name string `json:",omitempty"`
}

type hexCodec struct{}

func (hexCodec) Append(dst []byte, v string) ([]byte, error) {
	return hex.AppendEncode(dst, []byte(v)), nil
}
func (hexCodec) Decode(p []byte) (string, error) {
	v, err := hex.DecodeString(string(p))
	return string(v), err
}

func TestFuncEncodesAndDecodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c := f.client()
		set := c.NewTaskSet(t.Context())
		text := NewFunc[string, string]("text").Add(set, "plain \x00", func(task *Task) { task.Priority = High })
		raw := NewFunc[[]byte, []byte]("raw").Add(set, []byte("b"))
		structs := NewFunc[point, []point]("json").WithKey(func(p point) string { return p.Name }).Add(set, point{1, 2, "<k>"})
		coded := NewFunc[string, string]("hex").WithCodec(hexCodec{}, nil).Add(set, "AB")

		s := f.accept()
		require.Equal(t, "plain \x00", string(s.expect(protocol.SubmitJobHigh)[2]))
		s.send(protocol.JobCreated, "H:1")
		s.take("H:2")
		_, key, payload := s.take("H:3")
		require.Equal(t, "<k>", key)
		require.Equal(t, `{"X":1,"Y":2,"Name":"<k>"}`, payload)
		_, _, payload = s.take("H:4")
		require.Equal(t, "4142", payload)
		s.send(protocol.WorkComplete, "H:1", "t")
		s.send(protocol.WorkComplete, "H:2", "r")
		s.send(protocol.WorkComplete, "H:3", `[{"X":3}]`)
		s.send(protocol.WorkComplete, "H:4", "not hex")
		require.NoError(t, set.Wait())

		requireValue(t, "t", text)
		requireValue(t, []byte("r"), raw)
		requireValue(t, []point{{X: 3}}, structs)
		requireValue(t, "not hex", coded)
	})
}

func requireValue[T any](t *testing.T, want T, f *Future[T]) {
	t.Helper()
	got, err := f.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestWhatCannotBeCodedFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		_, err := NewFunc[func(), int]("in").Add(set, nil).Wait(t.Context())
		require.ErrorContains(t, err, `encode the input of "in"`)

		completed := false
		future := NewFunc[int, int]("out").Add(set, 1, func(task *Task) {
			task.Retry.Attempts = 3
			task.OnComplete = func(Result) { completed = true }
		})
		s := f.accept()
		s.take("H:1")
		s.send(protocol.WorkComplete, "H:1", "one")
		_, err = future.Wait(t.Context())
		require.ErrorContains(t, err, `decode the result of "out"`)
		failure, ok := errors.AsType[*TaskError](err)
		require.True(t, ok)
		require.Equal(t, Handle{"fake", "H:1"}, failure.Handle)
		require.False(t, completed)
		require.Error(t, set.Wait())
	})
}
