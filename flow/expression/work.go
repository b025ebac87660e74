package expression

import (
	"errors"
	"regexp"
	"regexp/syntax"
)

// work bounds what one evaluation may do: every function and every operator whose cost grows with
// its operands draws from it, as much as it reads and writes. An expression that would run for
// minutes over its own products, or fill the memory with them, is stopped instead; one over a million
// results is not.
type work struct {
	left int

	pattern string // the last one that was matched, compiled
	regexp  *regexp.Regexp
	steps   int // of its program
}

// maxWork is a second or a few of a processor, and at most some 256 MiB of what is made.
const maxWork = 256 << 20

// What counts how much. A byte that is looked at or made counts one.
const (
	callWork    = 64 // a call of a function, a step of a nested predicate
	elementWork = 16 // an element of a list that is made
)

var errTooMuchWork = errors.New("the expression does too much work; let a job do it")

func newWork() *work { return &work{left: maxWork} }

func (w *work) draw(n int) error {
	if n < 0 || n > w.left {
		w.left = 0
		return errTooMuchWork
	}
	w.left -= n
	return nil
}

// made draws for a list of n elements that is about to be made.
func (w *work) made(n int) error { return w.draw(n * elementWork) }

// weigh draws for all that a value holds, the same part of it as often as it stands there. The bytes
// of texts count one for so many.
func (w *work) weigh(v any, bytes int) error {
	switch v := v.(type) {
	case string:
		return w.draw(1 + len(v)/bytes)
	case []any:
		for _, element := range v {
			if err := w.weigh(element, bytes); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, member := range v {
			if err := w.draw(len(key) / bytes); err != nil {
				return err
			}
			if err := w.weigh(member, bytes); err != nil {
				return err
			}
		}
	}
	return w.draw(1)
}

// What a walk over a value counts of its texts: something where only their beginnings matter, all
// where each byte is read.
const (
	someBytes = 16
	allBytes  = 1
)

// matches is the operator of that name: whether a regular expression matches somewhere in the text.
func (w *work) matches(text, pattern string) (bool, error) {
	if w.regexp == nil || w.pattern != pattern {
		if err := w.compile(pattern); err != nil {
			return false, err
		}
	}
	if err := w.draw(callWork + len(text)*w.steps); err != nil {
		return false, err
	}
	return w.regexp.MatchString(text), nil
}

func (w *work) compile(pattern string) (err error) {
	if err := w.draw(callWork * (10 + len(pattern))); err != nil {
		return err
	}
	if w.regexp, err = regexp.Compile(pattern); err != nil {
		return err
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return err
	}
	w.pattern, w.steps = pattern, len(program.Inst)
	return w.draw(callWork * w.steps)
}
