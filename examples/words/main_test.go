package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWords(t *testing.T) {
	t.Setenv("GEARTRAIN_SERVERS", "")
	t.Setenv("GEARMAN_SERVERS", "")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"to be or not to be", "that is the question"}, &out))
	require.Equal(t, "10 words\n", out.String())
}

func TestNoTexts(t *testing.T) {
	t.Setenv("GEARTRAIN_SERVERS", "")
	t.Setenv("GEARMAN_SERVERS", "")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))
	require.Equal(t, "0 words\n", out.String())
}
