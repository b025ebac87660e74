package form

import "github.com/geartrain/geartrain/flow"

// runKeys are the keys at the top that are about runs and not about what one does.
func runKeys() []keySpec {
	return []keySpec{
		{name: "secrets", shape: listShape, instead: "[%s]", doc: "Names of variables that commands get from where they run. Their values are in no key, job, log or report."},
		{name: "schedule", shape: mapShape, is: schedulePlace, instead: `{cron: "%s"}`, doc: "When runs are due."},
		{name: "max_runs", shape: integerShape, doc: "Runs of this pipeline at once."},
		{name: "concurrency", shape: mapShape, is: concurrencyPlace, instead: "{group: ..., on_conflict: queue}", doc: "Runs of one group are driven one after the other."},
	}
}

// conflicts are what may become of a run that another one is in the way of.
func conflicts() []string {
	return []string{string(flow.QueueRun), string(flow.SkipRun), string(flow.ReplaceRun), string(flow.JoinRun)}
}

func scheduleKeys() []keySpec {
	return []keySpec{
		{name: "cron", shape: textShape | listShape, means: "a cron line or a list of them", doc: "Minute, hour, day, month and weekday, or @hourly, @daily, @weekly, @monthly, @yearly."},
		{name: "timezone", shape: textShape, doc: "Of the cron lines, such as Europe/Berlin. Left out: UTC."},
		{name: "catch_up", shape: textShape, means: "a duration", instead: "%ss", doc: "Runs missed for no longer than this are made up."},
		{name: "overlap", shape: textShape, allowed: conflicts(), doc: "A run that is due while one is not over: it waits (queue, the default), is not made (skip), takes the other's place (replace), or is the other (join)."},
	}
}

func concurrencyKeys() []keySpec {
	return []keySpec{
		{name: "group", shape: textShape, doc: "Which runs must not be driven at once, an expression over params. Left out: all of the pipeline."},
		{name: "on_conflict", shape: textShape, allowed: conflicts(), doc: "A run that finds another of its group: it waits (queue, the default), is not made (skip), takes the other's place (replace), or is the other (join)."},
	}
}
