package form

import (
	"fmt"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow"
)

// place is a kind of map in a pipeline file. Which keys each may have stands in one table, which
// drives the reader, its hints and the schema for editors.
type place string

const (
	topPlace      place = "the pipeline"
	paramPlace    place = "parameter"
	defaultsPlace place = "defaults"
	functionPlace place = "function"
	stagePlace    place = "stage"
	discoverPlace place = "discover"
	retryPlace    place = "retry"
	ratePlace     place = "rate"
	hookPlace     place = "hook"

	schedulePlace    place = "schedule"
	concurrencyPlace place = "concurrency"
	taskPlace        place = "task"
	resultsPlace     place = "results"
)

// of is the place in a sentence; what may have a name has one, or an article.
func (p place) of(name string) string {
	switch {
	case name != "":
		return fmt.Sprintf("%s %q", p, name)
	case p == stagePlace || p == taskPlace || p == paramPlace || p == functionPlace || p == hookPlace:
		return "a " + string(p)
	}
	return string(p)
}

// shape is what a value may look like: one or more of these.
type shape uint16

const (
	textShape shape = 1 << iota
	integerShape
	numberShape // integers too
	booleanShape
	nullShape
	listShape
	mapShape

	scalarShape = textShape | numberShape | booleanShape
	anyShape    = scalarShape | nullShape | listShape | mapShape
)

// keySpec is one key of a place.
type keySpec struct {
	name    string
	shape   shape
	allowed []string   // the only texts, if any
	limit   flow.Limit // of a stage: may be an expression over params, env and run
	perJob  bool       // may be an expression over item
	means   string     // what the value is, where the shape says too little
	is      place      // where it is a map: the place that map is
	holds   place      // the place of its elements, or of its members
	instead string     // what to write when the shape is wrong; %s is the scalar that was written
	doc     string
}

// String names the shapes as a sentence does.
func (s shape) String() string {
	var names []string
	for _, one := range []struct {
		bit  shape
		name string
	}{
		{textShape, "text"}, {integerShape, "a whole number"}, {numberShape, "a number"}, {booleanShape, "true or false"},
		{listShape, "a list"}, {mapShape, "a map"},
	} {
		if s&one.bit != 0 {
			names = append(names, one.name)
		}
	}
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " or " + names[n]
	}
	return strings.Join(names, "")
}

// keysOfPlace is the table.
func keysOfPlace(p place) []keySpec {
	switch p {
	case topPlace:
		return topKeys()
	case paramPlace:
		return paramKeys()
	case defaultsPlace:
		return defaultsKeys()
	case functionPlace:
		return functionKeys()
	case stagePlace:
		return slices.Concat(stageKeys(), limitKeys(), keptKeys(), endKeys())
	case taskPlace:
		return taskKeys()
	case resultsPlace:
		return resultsKeys()
	case discoverPlace:
		return discoverKeys()
	case retryPlace:
		return retryKeys()
	case hookPlace:
		return hookKeys()
	case schedulePlace:
		return scheduleKeys()
	case concurrencyPlace:
		return concurrencyKeys()
	}
	return rateKeys()
}

func topKeys() []keySpec {
	keys := []keySpec{
		{name: "version", shape: integerShape, instead: "1", doc: "The version of this form: 1."},
		{name: "name", shape: textShape, doc: "The pipeline's name: letters, digits, - and _."},
		{name: "description", shape: textShape, doc: "What the pipeline does, for people."},
		{name: "servers", shape: listShape, instead: "[\"%s\"]", doc: "Job servers as host:port. Left out: GEARTRAIN_SERVERS, else a server inside the process."},
		{name: "params", shape: mapShape, holds: paramPlace, instead: "NAME: value, or NAME: {type: ..., required: true}", doc: "The values a run is given, by name."},
		{name: "env", shape: mapShape, instead: "NAME: value", doc: "Environment of every command."},
		{name: "timeout", shape: textShape, means: "a duration", instead: "%ss", doc: "For the whole run."},
		{name: "defaults", shape: mapShape, is: defaultsPlace, doc: "What holds for every stage that does not say otherwise."},
		{name: "functions", shape: mapShape, holds: functionPlace, instead: "NAME: {run: COMMAND}", doc: "Commands behind function names."},
		{name: "stages", shape: listShape, holds: stagePlace, instead: "a list: - name: NAME", doc: "The stages. Each waits for the one before it unless it has needs or stream."},
		{name: "output", shape: anyShape, doc: "What the pipeline gives. Left out: the results of the last stage."},
	}
	return slices.Concat(keys, runKeys(), endKeys())
}

func paramKeys() []keySpec {
	types := []string{"string", "integer", "number", "boolean", "list", "map", "date", "duration"}
	return []keySpec{
		{name: "type", shape: textShape, allowed: types, doc: "What the value is. Left out: that of the default, else string."},
		{name: "required", shape: booleanShape, doc: "A run without this parameter is refused."},
		{name: "default", shape: anyShape, doc: "The value when a run is not given one."},
		{name: "description", shape: textShape, doc: "What it is for, for people."},
		{name: "enum", shape: listShape, doc: "The only values allowed."},
		{name: "pattern", shape: textShape, doc: "A regular expression that must match the whole text."},
		{name: "minimum", shape: numberShape, doc: "The smallest number allowed."},
		{name: "maximum", shape: numberShape, doc: "The largest number allowed."},
	}
}

// limitKeys may stand in a stage, and most of them in defaults.
func limitKeys() []keySpec {
	return []keySpec{
		{name: "max_parallel", shape: integerShape, limit: flow.LimitParallel, doc: "Unanswered jobs at once."},
		{name: "priority", shape: textShape, allowed: []string{"low", "normal", "high"}, perJob: true, doc: "Before or after other jobs of the server: low, normal, high, or an expression over item that gives one of them."},
		{name: "timeout", shape: textShape, limit: flow.LimitTimeout, means: "a duration", instead: "%ss", doc: "For one attempt, while a worker has it."},
		{name: "retry", shape: mapShape, is: retryPlace, instead: "{attempts: %s}", doc: "When and how often a job is tried again."},
		{name: "allow_failures", shape: integerShape | textShape, means: "a number, a percentage or all", instead: "%s%%", doc: "How many jobs may fail: a number, a percentage, or all."},
		{name: "fail_fast", shape: booleanShape, doc: "Stop the stage at the first failure that is not allowed."},
		{name: "fresh", shape: textShape, instead: "never, always, or a duration such as 12h", doc: "For how long an earlier result is the answer: never, a duration, or always."},
		{name: "rate", shape: textShape | mapShape, is: ratePlace, means: "a rate", limit: flow.LimitRate, instead: "%s/s", doc: "How many jobs are started in a time: 10/s, 600/m."},
		{name: "late", shape: textShape, allowed: []string{"drop", "accept"}, doc: "What becomes of a result that comes after its attempt's timeout: drop, the default, or accept, unless the next attempt's own came before."},
	}
}

func defaultsKeys() []keySpec { return limitKeys() }

func functionKeys() []keySpec {
	return []keySpec{
		{name: "run", shape: textShape | listShape, doc: "A script for sh, or a list: a command with its arguments, without a shell."},
		{name: "version", shape: textShape | integerShape, doc: "Part of every key: another version is other work. Left out: a hash of the command."},
		{name: "max_parallel", shape: integerShape, doc: "Jobs at once in one worker."},
		{name: "timeout", shape: textShape, means: "a duration", instead: "%ss", doc: "For one attempt."},
		{name: "output", shape: textShape, allowed: []string{"text", "json", "lines"}, doc: "How the standard output is read."},
		{name: "env", shape: mapShape, instead: "NAME: value", doc: "Environment of the command."},
	}
}

func stageKeys() []keySpec {
	return []keySpec{
		{name: "name", shape: textShape, doc: "The stage's name: letters, digits, - and _."},
		{name: "function", shape: textShape, instead: "a name, and its command under functions: at the top", doc: "The Gearman function of its jobs."},
		{name: "run", shape: textShape | listShape, doc: "A script for sh, or a list: a command with its arguments, without a shell."},
		{name: "pipeline", shape: textShape, doc: "Another pipeline file, beside this one: each job is a run of it, and its result is what that run gives."},
		{name: "params", shape: mapShape, instead: "NAME: value", doc: "What the runs of that pipeline are given."},
		{name: "tasks", shape: listShape, holds: taskPlace, instead: "a list: - run: COMMAND", doc: "Unlike tasks, side by side: each is done once, or for each item."},
		{name: "for_each", shape: textShape | integerShape | listShape | mapShape, means: "a list, a map, a whole number or an expression", instead: "[...] or ${{ ... }}", doc: "One job for each element of a list, a map or an expression, or so many jobs."},
		{name: "matrix", shape: mapShape, instead: "NAME: [value, ...] for each axis", doc: "One job for each combination of the values of its axes, less exclude, plus include."},
		{name: "stream", shape: textShape | listShape, doc: "One job for each result of that stage, as it arrives: no barrier."},
		{name: "as", shape: textShape, doc: "Another name for item in expressions."},
		{name: "batch", shape: integerShape, doc: "So many items make one job."},
		{name: "discover", shape: mapShape, is: discoverPlace, doc: "How a result adds items to this very stage."},
		{name: "args", shape: anyShape, doc: "What a job is given. Left out: its item."},
		{name: "stdin", shape: anyShape, doc: "Standard input of the command. Left out: the arguments."},
		{name: "env", shape: mapShape, instead: "NAME: value", doc: "Environment of the command."},
		{name: "needs", shape: textShape | listShape, doc: "Stages that must have ended before this one begins."},
		{name: "if", shape: textShape | booleanShape, doc: "False: the stage is skipped, and counts as done."},
		{name: "wait", shape: textShape | integerShape, means: "all, first, a whole number or a percentage", instead: "%s%%", doc: "How many results are enough: all, first, a number, or a percentage. The other jobs are cancelled."},
		{name: "key", shape: anyShape, doc: "What makes a job the same job, in place of all of args."},
		{name: "version", shape: textShape | integerShape, doc: "Part of every key: another version is other work."},
		{name: "sources", shape: textShape | listShape, means: "a list of files", doc: "Files whose contents are part of the key: paths and patterns beside this file. A changed file is other work."},
		{name: "output", shape: textShape, allowed: []string{"text", "json", "lines"}, doc: "How a result is read."},
	}
}

// endKeys may stand in the pipeline and in a stage.
func endKeys() []keySpec {
	instead := "a list: - run: COMMAND"
	return []keySpec{
		{name: "on_success", shape: listShape, holds: hookPlace, instead: instead, doc: "Done after a good end: commands or functions, one after the other."},
		{name: "on_failure", shape: listShape, holds: hookPlace, instead: instead, doc: "Done after a failure or a timeout."},
		{name: "on_cancel", shape: listShape, holds: hookPlace, instead: instead, doc: "Done after a cancel."},
		{name: "on_exit", shape: listShape, holds: hookPlace, instead: instead, doc: "Done after every end, last."},
	}
}

func hookKeys() []keySpec {
	return []keySpec{
		{name: "run", shape: textShape | listShape, doc: "A script for sh, or a list: a command with its arguments, without a shell. It runs where the runner is."},
		{name: "function", shape: textShape, doc: "The Gearman function of a job."},
		{name: "args", shape: anyShape, doc: "What that job is given. Left out: the report of the end."},
		{name: "env", shape: mapShape, instead: "NAME: value", doc: "Environment of the command."},
		{name: "timeout", shape: textShape, means: "a duration", instead: "%ss", doc: "For the hook."},
	}
}

func discoverKeys() []keySpec {
	return []keySpec{
		{name: "items", shape: textShape | listShape, doc: "The new items: an expression over result and item."},
		{name: "with", shape: mapShape, doc: "Merged into each new item."},
		{name: "if", shape: textShape | booleanShape, doc: "False: this result adds nothing."},
		{name: "max_items", shape: integerShape, limit: flow.LimitItems, doc: "The most items the stage may have."},
	}
}

func retryKeys() []keySpec {
	return []keySpec{
		{name: "attempts", shape: integerShape, doc: "Attempts in all, the first one included."},
		{name: "delay", shape: textShape, means: "a duration", instead: "%ss", doc: "Before the second attempt."},
		{name: "backoff", shape: numberShape, doc: "Each further delay is this many times the one before."},
		{name: "max_delay", shape: textShape, means: "a duration", instead: "%ss", doc: "No delay is longer."},
		{name: "jitter", shape: textShape | numberShape, doc: "How much of a delay is left to chance: 20%."},
		{name: "on", shape: listShape, instead: "[%s]", doc: "What is tried again: fail, exception, timeout, refused, lost."},
	}
}

func rateKeys() []keySpec {
	return []keySpec{
		{name: "limit", shape: textShape, limit: flow.LimitRate, instead: "%s/s", doc: "10/s, 600/m, 100/h."},
		{name: "per", shape: textShape, doc: "A limit of its own for each value of this expression."},
	}
}

// foreignKeys are what other tools call our keys, or what a key is often mistaken for.
func foreignKeys() map[string]string {
	return map[string]string{
		"steps": "stages", "jobs": "stages", "tasks": "stages", "parameters": "params", "inputs": "params", "arguments": "args",
		"with": "args", "withItems": "for_each", "with_items": "for_each", "withParam": "for_each", "withSequence": "for_each",
		"parallel": "for_each", "foreach": "for_each", "forEach": "for_each", "for": "for_each", "items": "for_each", "strategy": "matrix",
		"depends": "needs", "dependencies": "needs", "depends_on": "needs", "dependsOn": "needs", "deps": "needs", "after": "needs",
		"retryStrategy": "retry", "retry_policy": "retry", "retries": "retry", "maxRetries": "retry", "max_retries": "retry", "attempts": "retry",
		"limit": "attempts", "interval_sec": "delay", "factor": "backoff", "cap": "max_delay", "max_interval_sec": "max_delay",
		"timeout_sec": "timeout", "timeout-minutes": "timeout", "timeoutSeconds": "timeout", "activeDeadlineSeconds": "timeout",
		"continueOn": "allow_failures", "continue_on": "allow_failures", "continue-on-error": "allow_failures", "ignore_error": "allow_failures",
		"failFast": "fail_fast", "fail-fast": "fail_fast", "when": "if", "preconditions": "if", "condition": "if",
		"command": "run", "cmd": "run", "cmds": "run", "script": "run", "exec": "run", "shell": "run", "uses": "function", "call": "function",
		"max-parallel": "max_parallel", "parallelism": "max_parallel", "max_concurrent": "max_parallel",
		"concurrency": "max_parallel", "maxForks": "max_parallel", "vars": "params", "environment": "env", "dotenv": "env", "from": "stream",
		"onExit": "on_exit", "handler_on": "on_exit", "stdout": "output", "outputs": "output", "gather": "args", "memoize": "fresh", "cache": "fresh",
		"desc": "description", "min": "minimum", "max": "maximum", "values": "enum", "options": "enum",
	}
}
