package flow

import (
	"regexp"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/gearman"
)

// Plan is the untyped graph that the Go form and the YAML form both become. It is what is validated,
// drawn, printed and run. A Plan is not changed once it is made, and may be run many times at once.
type Plan struct {
	Name        string
	Description string
	Servers     []string // job servers, host:port. None: the caller's choice
	Params      []Param
	Env         map[string]expression.Template // of every command; GEARTRAIN_* are added to it
	Functions   []Function                     // commands behind function names, for the workers started with the run
	Stages      []Stage                        // each after all it needs
	Output      expression.Template            // the pipeline's own output. Zero: the results of the last stage
	Timeout     time.Duration                  // of a whole run. Zero: none
	Hooks       Hooks                          // done when a run has ended

	Secrets     []string     // names of variables that commands get from where they run; see ReadSecrets
	Schedule    *Schedule    // when runs are due. Nil: when somebody starts one
	MaxRuns     int          // of this pipeline at once. Zero: no bound
	Concurrency *Concurrency // runs that must not be driven at once. Nil: all may
}

// IsName reports whether a text may be the name of a stage, a parameter or a pipeline: it stands in function
// names, paths and expressions.
func IsName(text string) bool { return validName.MatchString(text) }

var validName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// Param is a value that a run is given.
type Param struct {
	Name        string
	Description string
	Type        ParamType
	Required    bool
	Default     any // a JSON value, or a Template over run; nil: none
	Enum        []any
	Pattern     string   // of a string: a regular expression that must match all of it
	Minimum     *float64 // of a number
	Maximum     *float64
}

// ParamType is a parameter's type: what text on a command line is turned into.
type ParamType string

// The types of parameters.
const (
	String   ParamType = "string"
	Integer  ParamType = "integer"
	Number   ParamType = "number"
	Boolean  ParamType = "boolean"
	List     ParamType = "list"
	Map      ParamType = "map"
	Date     ParamType = "date"
	Duration ParamType = "duration"
)

// Function is a command behind a Gearman function's name.
type Function struct {
	Name        string
	Command     Command
	Version     string // part of every key of this function. Default: a hash of the command
	MaxParallel int    // jobs at once in one worker process. Zero: the worker's concurrency
	Timeout     time.Duration
	Output      Encoding
	Env         map[string]expression.Template
}

// Command is a program to run for a job. Exactly one of Script and Argv is set.
type Command struct {
	Script string                // for sh -eu -c; values reach it only through the environment and standard input
	Argv   []expression.Template // an argument vector, run without a shell; the first element has no expression
	Dir    string                // where it runs: the folder of the pipeline file
}

// Stage is one task set: its jobs start as they are added, and it has ended when its input has ended
// and all its jobs have.
type Stage struct {
	Name     string
	Function string              // the Gearman function of its jobs; for a Command "PIPELINE.STAGE"
	Command  *Command            // of a stage that brings its own; nil: some worker has Function
	Pipeline *Include            // of a stage whose jobs are runs of another pipeline
	Tasks    []Stage             // of a stage of unlike tasks: each is done once, or for each item of its own or of the stage
	Needs    []string            // stages that must have ended before this one begins; those of an input that is not streamed are among them
	If       expression.Template // false: the stage is skipped. Zero: it runs

	Input    Input
	As       string              // another name for item in expressions
	Args     expression.Template // what a job is given. Zero: its item
	Stdin    expression.Template // of a Command. Zero: the arguments, as text or JSON
	Env      map[string]expression.Template
	Discover *Discover // how a result adds items to this very stage
	Output   Encoding  // how a result is read

	Key     expression.Template // what makes a job the same job, in place of all of Args
	Fresh   Fresh
	Version string
	Sources []expression.Template // files whose contents are part of the key: paths and patterns in the folder of the file
	Folder  string                // of Sources

	Late    Late    // what becomes of a result that comes after its attempt's timeout
	Results Results // how they are kept

	MaxParallel   int // unanswered jobs at once. Zero: the runner's window
	Rate          *Rate
	Priority      gearman.Priority
	Priorities    expression.Template // low, normal or high for each job, in place of Priority
	Timeout       time.Duration       // of one attempt, while a worker has it. Zero: none
	Retry         gearman.Retry
	AllowFailures Budget
	FailFast      bool // the first failure over the budget stops the stage; else all its jobs are tried
	Wait          Wait // how many results are enough. Zero: all

	// Limits are those that only a run decides, such as max_parallel: ${{ params.n }}. They are settled
	// when it begins, each in place of the field that it is named after.
	Limits map[Limit]expression.Template

	Hooks Hooks // done when the stage has ended. Nothing waits for them but the end of the run
}

// Include is another pipeline as the work of a stage: each of its jobs is a run of it, driven by the same
// runner. The job's result is the run's output: its Output, else the result or the list of results of its
// last stage.
type Include struct {
	Plan   *Plan
	File   string              // as the stage names it; empty in the Go form
	Params expression.Template // what a run is given, a map. Zero: the defaults
}

// Late is what becomes of a result that comes after its attempt's timeout.
type Late string

// The ways to take a late result.
const (
	DropLate   Late = ""       // it is not looked at
	AcceptLate Late = "accept" // it is the job's result, if it comes before the next attempt's own
)

// Results says how a stage's results are kept.
type Results struct {
	Keep    Keep
	Arrival bool // in the order in which they came, in place of that of the input
}

// Keep is where results are kept.
type Keep string

// The ways to keep results. Whatever does not fit into a little memory is in a temporary file with any.
const (
	KeepInline Keep = ""     // for expressions, which may ask for all of them as one list, and for iteration
	KeepFile   Keep = "file" // for iteration only: for_each, stream, the argument of one job
	KeepNone   Keep = "none" // not at all: they are counted
)

// Limit names a limit of a Stage that may be a template over params, env and run. Its value is what the
// YAML form would have in that place, as a number or as text.
type Limit string

// The limits that may be templates.
const (
	LimitParallel Limit = "max_parallel" // MaxParallel: 8
	LimitRate     Limit = "rate"         // Rate.Limit and Rate.Every: "10/s"; Rate.Per is Stage.Rate's
	LimitItems    Limit = "max_items"    // Discover.MaxItems: 1000
	LimitTimeout  Limit = "timeout"      // Timeout: "30s"
)

// Input says where a stage's items come from. One job for each item.
type Input struct {
	Kind    InputKind
	From    []string            // FromStages: results in input order, one stage after another
	Each    expression.Template // FromValue: a list, a map (items {key, value}) or a number (0 to n-1)
	Matrix  *Matrix             // FromMatrix: the combinations of lists
	Stream  bool                // FromStages: each result as it arrives, unless Gather; else after the barrier
	Flatten bool                // each result is a list, its elements are the items
	Batch   int                 // so many items make one job, whose item is their list. Zero: one each
	Gather  bool                // all items make one job, whose item is their list

	// Encoding says how what is sent to the run is read: FromInput only.
	Encoding Encoding
}

// InputKind is the kind of an Input.
type InputKind uint8

// The kinds of input.
const (
	Once       InputKind = iota // a single job without an item
	FromValue                   // the elements of a value
	FromStages                  // the results of earlier stages
	FromInput                   // what is sent to the run (Go form)
	FromMatrix                  // the combinations of lists, one map each
)

// Matrix makes an item, a map, of each combination of the values of its axes. The first axis changes
// slowest. What Exclude names is left out, and then what Include names is added at the end.
type Matrix struct {
	Axes    []Axis
	Exclude expression.Template // a list of maps: a combination that has all members of one of them is left out
	Include expression.Template // a list of maps, each an item as it is
}

// Axis is one member of the items of a Matrix, and the values that it takes.
type Axis struct {
	Name   string
	Values expression.Template // a list
}

// Discover lets a stage feed itself: each result may name more items. An item whose key was seen in
// this stage before is not run again.
type Discover struct {
	Items    expression.Template // over result and item: a list of items, or null
	With     map[string]any      // JSON values, and Templates over result and item, merged into each new item, which must then be a map
	If       expression.Template // over result and item: whether to look at Items at all. Zero: yes
	MaxItems int                 // of the whole stage. Zero: no limit

	// More is the Go form of Items: each element is one item as JSON, a string being text. It is not
	// part of what is compared or printed.
	More func(result []byte) ([][]byte, error) `json:"-"`
}

// Wait is how many of a stage's jobs must have a result for the stage to have ended well. Those that are
// still open then are cancelled; failures before do not count. The zero Wait is for all jobs, as far as
// the budget asks.
type Wait struct {
	Count   int     // first is 1. More than there are jobs: all
	Percent float64 // over 0 to 100, of all its jobs, rounded up; known when the input has ended
}

// Hooks are what is done at an end, each once, one after the other: the list that fits how it ended,
// then Exit. A hook that fails is reported and makes the run fail; those after it are done all the same.
type Hooks struct {
	Success []Hook // on_success: success and partial
	Failure []Hook // on_failure: failure and timeout
	Cancel  []Hook // on_cancel: cancellation
	Exit    []Hook // on_exit: always, last
}

// Hook is one thing to do at an end: a Command, which runs in the runner's own process, so that it works
// without a server too; or a job of a Function. Exactly one of them is set. Its templates are over
// params, env, run, stages and error.
type Hook struct {
	Command  *Command
	Function string
	Args     expression.Template            // of a Function. Zero: the report of the run or the stage, as JSON
	Env      map[string]expression.Template // of a Command
	Timeout  time.Duration                  // Zero: DefaultHookTimeout
}

// Encoding is how a job's result, which is text, is read.
type Encoding string

// The encodings of results.
const (
	TextOutput  Encoding = ""      // the text, without its final newline
	JSONOutput  Encoding = "json"  // decoded; not JSON: the job has failed
	LinesOutput Encoding = "lines" // a list of its lines
)

// Fresh is for how long an earlier result of the same key is the answer, whatever run it came from.
type Fresh struct {
	Always bool
	For    time.Duration // zero and not Always: only within the run
}

// Rate bounds how many jobs are started in a time.
type Rate struct {
	Limit int
	Every time.Duration
	Per   expression.Template // a group of its own for each value, for instance a host. Zero: the whole stage
}

// Budget is how many of a stage's jobs may fail before the run has failed.
type Budget struct {
	All     bool
	Count   int
	Percent float64 // 0 to 100, of all its jobs
}
