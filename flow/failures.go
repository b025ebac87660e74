package flow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
	"github.com/geartrain/geartrain/gearman"
)

// Limits of what is kept in memory about a stage's failures. All of them are in its file.
const (
	firstFailures = 10
	maxReasons    = 100
	maxMessage    = 4 << 10 // bytes
	maxQuotedItem = 4 << 10 // bytes
)

// JobFailure is a job that ended without a result.
type JobFailure struct {
	Place   int             `json:"index"` // of its item in the stage's input, from 0
	Item    json.RawMessage `json:"item"`  // null when it is over 4 KiB
	Key     string          `json:"key"`
	Attempt int             `json:"attempt"` // the last one, from 1; 0: none was made
	Reason  string          `json:"reason"`  // one word: fail, exception, timeout, refused, lost, cancellation, output, template, ...
	Message string          `json:"message"`
}

// Reason is what some failures of a stage have in common.
type Reason struct {
	Reason  string     `json:"reason"`
	Message string     `json:"message"` // one line
	Count   int        `json:"count"`
	Example JobFailure `json:"example"`
}

// failures keeps a stage's failures: the first few and the groups in memory, all in a file. It is for
// one goroutine at a time.
type failures struct {
	records *spool // tag: the place; JobFailure as JSON
	count   int
	end     int // one after the last place
	first   []JobFailure
	reasons map[string]*Reason
}

func newFailures(dir string) *failures {
	return &failures{records: &spool{dir: dir}, reasons: map[string]*Reason{}}
}

func (f *failures) add(failure JobFailure) error {
	f.count++
	f.end = max(f.end, failure.Place+1)
	if len(f.first) < firstFailures {
		f.first = append(f.first, failure)
	}
	f.group(failure)
	record, err := value.EncodeJSON(failure)
	if err != nil {
		return err
	}
	_, err = f.records.append(uint64(failure.Place), record)
	return err
}

func (f *failures) group(failure JobFailure) {
	message := wording.Shorten(headline(failure.Message), 200)
	common := withoutItem(message, failure.Item)
	id := failure.Reason + "\x00" + common
	group := f.reasons[id]
	if group == nil && len(f.reasons) >= maxReasons {
		id, message = "", "other reasons"
		group = f.reasons[id]
	}
	if group == nil {
		group = &Reason{Reason: failure.Reason, Message: message, Example: failure}
		f.reasons[id] = group
	}
	if group.Message != message && group.Reason == failure.Reason {
		group.Message = common // it is not only the first one's any more
	}
	group.Count++
}

// headline is the line of a message that says what went wrong: the first one; and where that announces what a
// program said at its end, the last one with it.
func headline(message string) string {
	first, said, more := strings.Cut(message, "\n")
	if !more || !strings.HasSuffix(first, ":") {
		return first
	}
	said = strings.TrimSpace(said)
	return first + " " + strings.TrimSpace(said[strings.LastIndexByte(said, '\n')+1:])
}

// withoutItem is the message with … in place of what it says of the item, such as its address: then messages
// that differ in nothing else are one reason.
func withoutItem(message string, item json.RawMessage) string {
	v, err := value.DecodeJSON(item)
	if err != nil {
		return message
	}
	for _, text := range itemTexts(v, nil) {
		message = replaceWord(message, text, "…")
	}
	return message
}

// maxItemTexts is how many texts of an item are looked for in a message.
const maxItemTexts = 20

// itemTexts are the texts of an item, and its numbers that are long enough to be told from chance, the longest
// first.
func itemTexts(v any, texts []string) []string {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			texts = itemTexts(v[name], texts)
		}
	case []any:
		for _, element := range v {
			texts = itemTexts(element, texts)
		}
	case nil, bool:
	default:
		text, err := value.Text(v)
		_, word := v.(string)
		if err == nil && (len(text) > 1 || word && text != "") && len(texts) < maxItemTexts {
			texts = append(texts, text)
		}
	}
	slices.SortStableFunc(texts, func(a, b string) int { return len(b) - len(a) })
	return texts
}

// replaceWord replaces a text where it is no part of a longer word or number.
func replaceWord(in, text, by string) string {
	var b strings.Builder
	for at := 0; ; {
		i := strings.Index(in[at:], text)
		if i < 0 {
			b.WriteString(in[at:])
			return b.String()
		}
		begin, end := at+i, at+i+len(text)
		before, _ := utf8.DecodeLastRuneInString(in[:begin])
		after, _ := utf8.DecodeRuneInString(in[end:])
		b.WriteString(in[at:begin])
		if isWord(before) || isWord(after) {
			b.WriteString(text)
		} else {
			b.WriteString(by)
		}
		at = end
	}
}

func isWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// groups is the reasons, most frequent first.
func (f *failures) groups() []Reason {
	all := make([]Reason, 0, len(f.reasons))
	for _, group := range f.reasons {
		all = append(all, *group)
	}
	slices.SortFunc(all, func(a, b Reason) int {
		return cmp.Or(b.Count-a.Count, a.Example.Place-b.Example.Place)
	})
	return all
}

// list is all failures as JSON values, in the order of the places that are given: that of the input.
func (f *failures) list(limit int64, places iter.Seq2[int, error]) ([]any, error) {
	if size := f.records.end(); size > limit {
		return nil, fmt.Errorf("%w: %d failures of %s are over the limit of %s for one list",
			ErrTooLarge, f.count, byteSize(size), byteSize(limit))
	}
	at, err := f.values()
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, len(at))
	for place, err := range places {
		if err != nil {
			return nil, err
		}
		if v, ok := at[place]; ok {
			list = append(list, v)
		}
	}
	return list, nil
}

// values are the failures by place.
func (f *failures) values() (map[int]any, error) {
	at := make(map[int]any, f.count)
	reader := &spoolReader{spool: f.records}
	for pos, end := int64(0), f.records.end(); pos < end; {
		place, p, next, err := reader.at(pos)
		if err != nil {
			return nil, err
		}
		if at[int(place)], err = value.DecodeJSON(p); err != nil {
			return nil, err
		}
		pos = next
	}
	return at, nil
}

// jobError is a failure that the runner itself found.
type jobError struct {
	reason string
	err    error
}

func (e *jobError) Error() string { return e.err.Error() }
func (e *jobError) Unwrap() error { return e.err }

// describeFailure puts an error of a job into words. A worker's text is made plain: whatever is not
// printable is replaced, and a long text is cut.
func describeFailure(err error, secrets *Secrets) (reason, message string, attempt int) {
	if own, ok := errors.AsType[*jobError](err); ok {
		return own.reason, printable(secrets.MaskBytes([]byte(own.Error()))), 0
	}
	reason, message = "error", err.Error()
	task, ok := errors.AsType[*gearman.TaskError](err)
	if ok {
		attempt, message = task.Attempt, task.Err.Error()
	}
	if ok && task.Exception != nil {
		reason, message = "exception", string(task.Exception)
	}
	switch {
	case errors.Is(err, gearman.ErrTimeout):
		reason = "timeout"
	case reason == "exception":
	case errors.Is(err, gearman.ErrTaskFailed):
		reason, message = "fail", "the worker reported a failure without a text"
	case errors.Is(err, gearman.ErrNoServers):
		reason = "unreachable"
	case errors.Is(err, gearman.ErrJobLost):
		reason = "lost"
	case errors.Is(err, gearman.ErrInvalidTask):
		reason = "invalid"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		reason = "cancellation"
	}
	if _, refused := errors.AsType[*gearman.ServerError](err); refused {
		reason = "refused"
	}
	return reason, printable(secrets.MaskBytes([]byte(message))), attempt
}

// printable makes a peer's bytes fit for a terminal and a log, line ends aside.
func printable(p []byte) string {
	if len(p) > maxMessage {
		p = append(bytes.Clone(p[:maxMessage]), "..."...)
	}
	text := strings.ToValidUTF8(string(bytes.TrimSpace(p)), string(utf8.RuneError))
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// quoteItem is an item as a part of a failure.
func quoteItem(it item) json.RawMessage {
	if len(it.raw) <= maxQuotedItem {
		if quoted, err := it.appendJSON(nil); err == nil {
			return quoted
		}
	}
	return json.RawMessage("null")
}
