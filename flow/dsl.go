package flow

import (
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/gearman"
)

// Stream stands for many values of type T on their way from one stage to the next. It holds no data:
// it exists so that the compiler checks that neighbouring stages fit.
type Stream[T any] struct{ edge edge }

// Single stands for exactly one value of type T.
type Single[T any] struct{ edge edge }

// edge is where values come from. It is copied, never changed.
type edge struct {
	builder *builder
	input   Input
	held    bool // Barrier was said: it cannot be streamed
}

// builder collects the stages while a pipeline is defined.
type builder struct{ plan *Plan }

// Each makes one job for each value.
func Each[In, Out any](s Stream[In], f gearman.Func[In, Out], opts ...StageOption) Stream[Out] {
	return Stream[Out]{addStage[Out]("Each", s.edge, f.Name(), opts)}
}

// Then makes one job of one value.
func Then[In, Out any](v Single[In], f gearman.Func[In, Out], opts ...StageOption) Single[Out] {
	return Single[Out]{addStage[Out]("Then", v.edge, f.Name(), opts)}
}

// Reduce makes one job of all values, after the barrier, in the order of the input: Then of [Gather].
// Lists that do not fit into one job are for [Batch] first.
func Reduce[In, Out any](s Stream[In], f gearman.Func[[]In, Out], opts ...StageOption) Single[Out] {
	return Single[Out]{addStage[Out]("Reduce", Gather(s).edge, f.Name(), opts)}
}

// Recurse is Each for a stage that feeds itself: more names the values that a result adds to it. A
// value whose key was seen before is not done again, so it ends when nothing is queued or running.
// more runs in the runner; it may be nil when [DiscoverItems] says the same as a template.
func Recurse[T, Out any](s Stream[T], f gearman.Func[T, Out], more func(Out) iter.Seq[T], opts ...StageOption) Stream[Out] {
	mustBeListed[T]("Recurse")
	d := &Discover{}
	if more != nil {
		d.More = func(result []byte) ([][]byte, error) { return found(result, more) }
	}
	feeds := func(st *Stage) { st.Discover = d }
	edge := addStage[Out]("Recurse", s.edge, f.Name(), append([]StageOption{feeds}, opts...))
	if d.More == nil && d.Items.IsZero() {
		panic(fmt.Errorf("Recurse of %s: neither a function nor DiscoverItems says what is found", f.Name()))
	}
	return Stream[Out]{edge}
}

// found is what more gives, each value as JSON.
func found[T, Out any](result []byte, more func(Out) iter.Seq[T]) ([][]byte, error) {
	out, err := decode[Out](result)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for v := range more(out) {
		raw, err := value.EncodeJSON(v)
		if err != nil {
			return nil, err
		}
		all = append(all, raw)
	}
	return all, nil
}

// Gather is a barrier that makes one list of all values, in the order of the input.
func Gather[T any](s Stream[T]) Single[[]T] {
	mustBeListed[T]("Gather")
	e := s.edge
	e.input.Gather = true
	return Single[[]T]{e.checked("Gather", s.edge.input.Batch > 0)}
}

// Barrier holds values back until the stage before has ended. That is how stages are joined anyway;
// written out, it also keeps the next stage from being [Streamed].
func Barrier[T any](s Stream[T]) Stream[T] {
	s.edge.held = true
	return s
}

// Batch makes lists of n values; the last one may be shorter. Streamed, a list goes on as soon as it is
// full, so which values are in it is chance.
func Batch[T any](s Stream[T], n int) Stream[[]T] {
	mustBeListed[T]("Batch")
	if n <= 0 {
		panic(fmt.Errorf("Batch of %d", n))
	}
	e := s.edge
	e.input.Batch = n
	return Stream[[]T]{e.checked("Batch", s.edge.input.Batch > 0)}
}

// Flatten makes many values of each list.
func Flatten[T any](s Stream[[]T]) Stream[T] {
	mustBeListed[T]("Flatten")
	e := s.edge
	e.input.Flatten = true
	return Stream[T]{e.checked("Flatten", s.edge.input.Batch > 0 || s.edge.input.Flatten)}
}

// Merge puts the values of several stages into one stream: those of the first, then those of the second,
// and so on. Streamed, jobs begin as the values arrive; their results are in that order all the same.
func Merge[T any](streams ...Stream[T]) Stream[T] {
	if len(streams) == 0 {
		panic(fmt.Errorf("Merge of nothing"))
	}
	e := streams[0].edge
	e.input.From = nil
	for _, s := range streams {
		in := s.edge.input
		if in.Kind != FromStages || in.Batch > 0 || in.Flatten != e.input.Flatten {
			panic(fmt.Errorf("Merge joins the results of stages; use Batch after it, and a stage for the pipeline's input"))
		}
		for _, name := range in.From {
			if slices.Contains(e.input.From, name) {
				panic(fmt.Errorf("Merge has stage %q twice", name))
			}
			e.input.From = append(e.input.From, name)
		}
		e.held = e.held || s.edge.held
	}
	return Stream[T]{e}
}

// checked is the edge, unless it already has a shape that the new one does not fit.
func (e edge) checked(what string, misfit bool) edge {
	if misfit {
		panic(fmt.Errorf("%s of what is batched or flattened already needs a stage in between", what))
	}
	return e
}

// addStage adds a stage to the plan and gives the edge that leaves it.
func addStage[Out any](verb string, from edge, function string, opts []StageOption) edge {
	if from.builder == nil {
		panic(fmt.Errorf("%s of %s: the input comes from no pipeline; use what Define's function is given", verb, function))
	}
	s := Stage{Name: defaultName(function), Function: function, Input: from.input, Output: encodingOf[Out]()}
	s.Input.From = slices.Clone(from.input.From)
	s.Needs = slices.Clone(from.input.From)
	for _, option := range opts {
		option(&s)
	}
	if s.Input.Stream && from.held {
		panic(fmt.Errorf("stage %q: Streamed after Barrier", s.Name))
	}
	from.builder.plan.Stages = append(from.builder.plan.Stages, s)
	return edge{builder: from.builder, input: Input{Kind: FromStages, From: []string{s.Name}}}
}

func defaultName(function string) string {
	return function[strings.LastIndexAny(function, "./:")+1:]
}

// encodingOf is how values of a type cross the wire, as [gearman.Func] has it.
func encodingOf[T any]() Encoding {
	switch any(*new(T)).(type) {
	case string, []byte:
		return TextOutput
	}
	return JSONOutput
}

// mustBeListed panics for types that are one thing alone and another in a list. []byte is any bytes
// alone and base64 in JSON; text in a list becomes a job's payload as it is, which is what a string
// is, and no other type of that kind.
func mustBeListed[T any](what string) {
	t := reflect.TypeFor[T]()
	if t == reflect.TypeFor[[]byte]() || t.Kind() == reflect.String && t != reflect.TypeFor[string]() {
		panic(fmt.Errorf("%s of %v: use string", what, t))
	}
}
