package form

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatAFileAsksOfServers(t *testing.T) {
	t.Parallel()
	read := loadText(t, `name: p
functions: {own: {run: cat}}
defaults: {fresh: 1h}
stages:
  - {name: a, function: fetch-pag, late: accept}
  - {name: b, for_each: [1, 2], function: own, wait: first, fresh: never}
  - {name: c, tasks: [{function: parse}, {run: cat}], fail_fast: true}
on_failure: [{function: tell}]
`)
	text := func(facts ServerFacts) string {
		var b strings.Builder
		for _, p := range read.CheckServer(facts) {
			b.WriteString(p.String() + "\n")
		}
		return b.String()
	}
	require.Empty(t, text(ServerFacts{Functions: []string{"fetch-pag", "parse", "tell"}, Retention: true, Cancel: true, Late: true}))
	require.Equal(t, `test.yaml:3:19: warning: the server keeps no results for stage "a": an earlier one is found only in the state folder of this machine [capability]
test.yaml:3:19: warning: the server keeps no results for task 1 of stage "c": an earlier one is found only in the state folder of this machine [capability]
test.yaml:3:19: warning: the server keeps no results for task 2 of stage "c": an earlier one is found only in the state folder of this machine [capability]
test.yaml:5:25: no connected worker offers the function "fetch-pag" of stage "a"; did you mean "fetch-page"? [function]
test.yaml:5:42: warning: the server takes no late results: those of stage "a" are dropped [capability]
test.yaml:6:54: warning: the server cannot end jobs that run: when stage "b" has ended early, they go on at their workers and their results are dropped [capability]
test.yaml:7:66: warning: the server cannot end jobs that run: when stage "c" has ended early, they go on at their workers and their results are dropped [capability]
test.yaml:8:25: no connected worker offers the function "tell" of the pipeline; start a worker for it, or declare its command under functions: [function]
`, text(ServerFacts{Functions: []string{"fetch-page", "parse"}}))
}
