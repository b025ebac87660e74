package flow_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/gearman"
)

type (
	link   struct{ URL string }
	page   struct{ Links []link }
	doc    struct{ Words map[string]int }
	report struct{ Docs int }
)

const twin = `
name: crawl
description: A site, each address once, and an index of it.
timeout: 1h
params:
  seed:      {type: string, required: true}
  max_depth: {type: integer, default: 3, minimum: 0}
stages:
  - name: fetch
    function: fetch-page
    for_each:
      - {url: "${{ params.seed }}", depth: 0}
    key: ${{ item.url }}
    fresh: 12h
    discover:
      items: ${{ result.links }}
      with: {depth: "${{ item.depth + 1 }}", via: link}
      if: ${{ item.depth < params.max_depth }}
      max_items: 100000
    max_parallel: 64
    rate: {limit: 5/s, per: "${{ host(item.url) }}"}
    timeout: 30s
    retry: {attempts: 3, delay: 1s, backoff: 2, max_delay: 30s, jitter: 20%}
    allow_failures: 2%
    output: json
  - name: parse
    function: parse-page
    stream: fetch
    args: {page: "${{ item.body_ref }}"}
    priority: high
    version: 2
    output: json
  - name: sum
    function: sum
    for_each: ${{ stages.parse.results }}
    batch: 100
    output: json
  - name: index
    function: build-index
    needs: [sum, fetch]
    args: ${{ stages.sum.results }}
    output: json
`

// TestGoAndYAMLAreOnePlan holds both forms to the same text.
func TestGoAndYAMLAreOnePlan(t *testing.T) {
	t.Parallel()
	fetch := gearman.NewFunc[link, page]("fetch-page")
	parse := gearman.NewFunc[page, doc]("parse-page")
	sum := gearman.NewFunc[[]doc, doc]("sum")
	index := gearman.NewFunc[[]doc, report]("build-index")
	zero := 0.0
	pipeline := flow.Define("crawl", func(seeds flow.Stream[link]) flow.Single[report] {
		pages := flow.Recurse(seeds, fetch, nil, flow.Name("fetch"),
			flow.DiscoverItems("${{ result.links }}"),
			flow.DiscoverWith(map[string]any{"depth": "${{ item.depth + 1 }}", "via": "link"}),
			flow.DiscoverIf("${{ item.depth < params.max_depth }}"),
			flow.MaxItems(100_000),
			flow.Key("${{ item.url }}"),
			flow.FreshFor(12*time.Hour),
			flow.MaxParallel(64),
			flow.RateLimitPer(5, time.Second, "${{ host(item.url) }}"),
			flow.Timeout(30*time.Second),
			flow.Attempts(3), flow.Backoff(time.Second, 30*time.Second),
			flow.AllowPercent(2))
		docs := flow.Each(pages, parse, flow.Name("parse"), flow.Streamed(),
			flow.Args(map[string]any{"page": "${{ item.body_ref }}"}),
			flow.Priority(gearman.High), flow.Version("2"))
		sums := flow.Each(flow.Batch(docs, 100), sum)
		return flow.Reduce(sums, index, flow.Name("index"), flow.After("fetch"))
	},
		flow.Description("A site, each address once, and an index of it."),
		flow.RunTimeout(time.Hour),
		flow.Params(
			flow.Param{Name: "seed", Type: flow.String, Required: true},
			flow.Param{Name: "max_depth", Type: flow.Integer, Default: 3, Minimum: &zero}),
		flow.ForEach([]any{map[string]any{"url": "${{ params.seed }}", "depth": 0}}))

	inGo, err := flow.Format(pipeline.Plan())
	require.NoError(t, err)
	inYAML, err := flow.Format(load(t, twin))
	require.NoError(t, err)
	require.Equal(t, inYAML, inGo)
}

func TestShapesOfAPipeline(t *testing.T) {
	t.Parallel()
	split := gearman.NewFunc[string, []string]("text.split")
	size := gearman.NewFunc[string, int]("text.size")
	sum := gearman.NewFunc[[]int, int]("sum")
	show := gearman.NewFunc[int, string]("show")
	p := flow.Define("p", func(in flow.Stream[string]) flow.Single[string] {
		words := flow.Flatten(flow.Each(in, split))
		a := flow.Each(words, size, flow.Name("a"), flow.Streamed())
		b := flow.Each(flow.Barrier(words), size, flow.Name("b"))
		return flow.Then(flow.Reduce(flow.Merge(a, b), sum), show)
	}).Plan()
	require.Equal(t, flow.Input{Kind: flow.FromInput}, p.Stages[0].Input)
	require.Equal(t, "split", p.Stages[0].Name)
	require.Equal(t, flow.JSONOutput, p.Stages[0].Output)
	require.Equal(t, flow.Input{Kind: flow.FromStages, From: []string{"split"}, Flatten: true, Stream: true}, p.Stages[1].Input)
	require.Empty(t, p.Stages[1].Needs)
	require.Equal(t, flow.Input{Kind: flow.FromStages, From: []string{"split"}, Flatten: true}, p.Stages[2].Input)
	require.Equal(t, []string{"split"}, p.Stages[2].Needs)
	require.Equal(t, flow.Input{Kind: flow.FromStages, From: []string{"a", "b"}, Gather: true}, p.Stages[3].Input)
	require.Equal(t, flow.Input{Kind: flow.FromStages, From: []string{"sum"}}, p.Stages[4].Input)
	require.Equal(t, flow.TextOutput, p.Stages[4].Output)
	require.True(t, p.Output.IsZero(), "the last stage is the output")
}

func TestOutputOfAStageThatIsNotTheLast(t *testing.T) {
	t.Parallel()
	f := gearman.NewFunc[int, int]("f")
	p := flow.Define("p", func(in flow.Stream[int]) flow.Single[[]int] {
		a := flow.Each(in, f, flow.Name("a"))
		flow.Each(a, f, flow.Name("b"))
		return flow.Gather(a)
	}).Plan()
	require.Equal(t, "${{ stages.a.results }}", p.Output.String())
}

func TestGatherOfSeveralStagesIsTheOutput(t *testing.T) {
	t.Parallel()
	f := gearman.NewFunc[int, []int]("f")
	pipeline := flow.Define("p", func(in flow.Stream[int]) flow.Single[[]int] {
		a := flow.Flatten(flow.Each(in, f, flow.Name("a-b")))
		return flow.Gather(flow.Merge(a, flow.Flatten(flow.Each(in, f, flow.Name("b")))))
	}, flow.ForEach([]any{1, 2}))
	require.Equal(t, flow.FromValue, pipeline.Plan().Stages[0].Input.Kind)
	require.Equal(t, flow.FromValue, pipeline.Plan().Stages[1].Input.Kind, "a value may feed many stages")
	out, err := flowtest.Run(t, pipeline, nil, flowtest.Do(f, func(_ context.Context, n int) ([]int, error) {
		return []int{n, -n}, nil
	}))
	require.NoError(t, err)
	require.Equal(t, []int{1, -1, 2, -2, 1, -1, 2, -2}, out)
}

func TestGraphsThatMakeNoSensePanicAtOnce(t *testing.T) {
	t.Parallel()
	f := gearman.NewFunc[string, string]("f")
	var foreign flow.Single[string]
	flow.Define("other", func(in flow.Stream[string]) flow.Single[string] {
		foreign = flow.Reduce(in, gearman.NewFunc[[]string, string]("g"))
		return foreign
	})
	join := gearman.NewFunc[[]string, string]("join")
	for name, test := range map[string]struct {
		build func(in flow.Stream[string]) flow.Single[string]
		want  string
	}{
		"a result of another pipeline": {
			func(flow.Stream[string]) flow.Single[string] { return foreign },
			"the result does not come from this pipeline",
		},
		"an empty symbol": {
			func(flow.Stream[string]) flow.Single[string] { return flow.Then(flow.Single[string]{}, f) },
			"Then of f: the input comes from no pipeline",
		},
		"two stages of one name": {
			func(in flow.Stream[string]) flow.Single[string] {
				return flow.Reduce(flow.Each(flow.Each(in, f), f), join)
			},
			`stage "f" is there twice; give one of them another flow.Name`,
		},
		"two that take the input": {
			func(in flow.Stream[string]) flow.Single[string] {
				flow.Each(in, f)
				return flow.Reduce(in, join)
			},
			"2 stages take the input",
		},
		"streamed input": {
			func(in flow.Stream[string]) flow.Single[string] {
				return flow.Reduce(flow.Each(in, f, flow.Streamed()), join)
			},
			`stage "f": Streamed needs a stage before it`,
		},
		"streamed after a barrier": {
			func(in flow.Stream[string]) flow.Single[string] {
				return flow.Reduce(flow.Barrier(flow.Each(in, f)), join, flow.Streamed())
			},
			`stage "join": Streamed after Barrier`,
		},
		"batch of batches": {
			func(in flow.Stream[string]) flow.Single[string] {
				flow.Batch(flow.Batch(in, 2), 2)
				return foreign
			},
			"Batch of what is batched or flattened already needs a stage in between",
		},
		"a broken template": {
			func(in flow.Stream[string]) flow.Single[string] {
				return flow.Reduce(flow.Each(in, f, flow.Key("${{ item. }}")), join)
			},
			"key: ",
		},
		"what feeds itself with nothing": {
			func(in flow.Stream[string]) flow.Single[string] {
				return flow.Reduce(flow.Recurse(in, f, nil), join)
			},
			"neither a function nor DiscoverItems",
		},
		"a limit of what does not feed itself": {
			func(in flow.Stream[string]) flow.Single[string] {
				return flow.Reduce(flow.Each(in, f, flow.MaxItems(3)), join)
			},
			"only a stage made by Recurse feeds itself",
		},
		"merged with the input": {
			func(in flow.Stream[string]) flow.Single[string] {
				return flow.Reduce(flow.Merge(in, flow.Each(in, f)), join)
			},
			"Merge joins the results of stages",
		},
		"after a stage that is not there": {
			func(in flow.Stream[string]) flow.Single[string] {
				return flow.Reduce(in, join, flow.After("later"))
			},
			`stage "join" needs "later", which is no stage before it`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				err, ok := recover().(error)
				require.True(t, ok)
				require.ErrorContains(t, err, `flow: pipeline "p": `)
				require.ErrorContains(t, err, test.want)
			}()
			flow.Define("p", test.build)
		})
	}
}

func TestBytesAreNotListed(t *testing.T) {
	t.Parallel()
	require.PanicsWithError(t, "Gather of []uint8: use string", func() { flow.Gather(flow.Stream[[]byte]{}) })
	type name string
	require.PanicsWithError(t, "Batch of flow_test.name: use string", func() { flow.Batch(flow.Stream[name]{}, 2) })
	more := func([]byte) iter.Seq[[]byte] { return nil }
	require.Panics(t, func() { flow.Recurse(flow.Stream[[]byte]{}, gearman.NewFunc[[]byte, []byte]("f"), more) })
}
