package form

import "slices"

// taskKeys are the keys of one of a stage's unlike tasks: those of a stage that are about one job.
func taskKeys() []keySpec {
	notForTasks := []string{"tasks", "stream", "discover", "needs", "wait", "max_parallel", "allow_failures", "fail_fast", "rate"}
	return slices.DeleteFunc(slices.Concat(stageKeys(), limitKeys()), func(spec keySpec) bool {
		return slices.Contains(notForTasks, spec.name)
	})
}

// keptKeys are the keys of a stage about its results.
func keptKeys() []keySpec {
	return []keySpec{
		{name: "results", shape: textShape | mapShape, is: resultsPlace, allowed: keeps(), doc: "How results are kept: inline, file (read one by one only) or none; or a map."},
	}
}

func keeps() []string { return []string{"inline", "file", "none"} }

func resultsKeys() []keySpec {
	return []keySpec{
		{name: "keep", shape: textShape, allowed: keeps(), doc: "inline: for expressions too; file: for for_each, stream and the argument of one job; none: they are only counted."},
		{name: "order", shape: textShape, allowed: []string{"input", "arrival"}, doc: "Of the results: that of the items, the default, or that in which they came."},
	}
}
