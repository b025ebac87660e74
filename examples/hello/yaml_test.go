package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/examples/internal/exampletest"
)

func TestHelloYAML(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Hello, Ada\nHello, Edsger\nHello, Grace\n", exampletest.RunFile(t, "hello.yaml", nil))
}
