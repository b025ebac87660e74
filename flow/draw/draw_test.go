package draw

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form"
)

const everything = `
name: every-thing
description: All kinds of edges.
params: {hosts: [a, b], n: 5, full: false}
stages:
  - name: open
    run: |
      echo '<b>"x"</b>' \ #35; %%{init}%%
      echo second
  - name: fetch
    function: fetch-page
    for_each: ${{ params.hosts }}
    discover: {items: "${{ result.links }}", max_items: 1000}
    rate: {limit: 5/s, per: "${{ item }}"}
    max_parallel: 8
    allow_failures: 2%
    output: json
    on_failure: [{run: "echo failed"}]
  - name: parse
    function: parse-page
    stream: fetch
    if: ${{ params.full }}
  - name: count
    function: count
    for_each: ${{ stages.parse.results }}
    batch: 100
  - name: cells
    run: [echo, "${{ item.os }}"]
    matrix: {os: [linux, mac], arch: [arm, amd]}
    needs: []
    wait: first
  - name: mixed
    for_each: ${{ stages.cells.results }}
    tasks:
      - {function: load}
      - {run: wc -l, if: "${{ params.full }}"}
  - name: index
    function: index
    needs: [count, cells, mixed]
    args: ${{ stages.count.results }}
on_exit:
  - {run: "true"}
`

func load(t testing.TB, source string) *flow.Plan {
	t.Helper()
	file, err := form.Load("test.yaml", strings.NewReader(source))
	require.NoError(t, err)
	return file.Plan
}

// TestGolden holds the pictures to testdata; UPDATE_GOLDEN=1 writes them anew.
func TestGolden(t *testing.T) {
	t.Parallel()
	p := load(t, everything)
	for name, write := range map[string]func(io.Writer, *flow.Plan) error{"mmd": Mermaid, "dot": Dot, "txt": Text} {
		var got bytes.Buffer
		require.NoError(t, write(&got, p))
		file := filepath.Join("testdata", "everything."+name)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			require.NoError(t, os.WriteFile(file, got.Bytes(), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), got.String())
	}
}

// A plan made in Go may hold any text. None of it may end a label.
func TestHostileTextStaysText(t *testing.T) {
	t.Parallel()
	hostile := "x\"] --> y; style n0 fill:#f00; <img src=a onerror=b>\n\x1b[31m \\N `**b**` %%{init: {}}%%"
	p := &flow.Plan{Name: hostile, Description: hostile, Stages: []flow.Stage{{Name: hostile, Function: hostile}}}
	var b bytes.Buffer
	require.NoError(t, Mermaid(&b, p))
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	require.Len(t, lines, 2)
	require.Regexp(t, `^  n0\["[^"<>:%`+"`"+`\[\]{}\\]*"\]$`, strings.ReplaceAll(lines[1], "<br>", ""))
	b.Reset()
	require.NoError(t, Dot(&b, p))
	quoted := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	require.NotContains(t, quoted.ReplaceAllString(b.String(), ""), "onerror", "all of it stands in quotes")
	b.Reset()
	require.NoError(t, Text(&b, p))
	require.NotContains(t, b.String(), "\x1b")
}

// A stage's place in the chart does not depend on maps.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	first, p := new(bytes.Buffer), load(t, everything)
	require.NoError(t, Dot(first, p))
	for range 20 {
		var again bytes.Buffer
		require.NoError(t, Dot(&again, load(t, everything)))
		require.Equal(t, first.String(), again.String())
	}
}
