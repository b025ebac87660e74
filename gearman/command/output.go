package command

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxLine   = 64 << 10 // of standard error, or of standard output as data; longer ones are cut
	maxTail   = 4 << 10  // bytes of standard error that go into an error
	readSize  = 32 << 10 // of one read from standard output
	directive = "::"     // what a line begins with that reports progress
)

// output collects standard output up to a limit. What comes beyond it is read and dropped, so that
// the program does not wait for a reader while it is being ended.
type output struct {
	limit int64
	bytes []byte
	over  bool
	stop  func() // called once, when the limit is passed
}

// read collects until r ends.
func (o *output) read(r io.Reader) {
	chunk := make([]byte, readSize)
	for {
		n, err := r.Read(chunk)
		o.add(chunk[:n])
		if err != nil {
			return
		}
	}
}

func (o *output) add(p []byte) {
	switch {
	case o.over:
	case int64(len(o.bytes)+len(p)) > o.limit:
		o.over, o.bytes = true, nil
		o.stop()
	default:
		o.grow(len(p))
		o.bytes = append(o.bytes, p...)
	}
}

// grow doubles the buffer, but never past the limit.
func (o *output) grow(n int) {
	if need := len(o.bytes) + n; need > cap(o.bytes) {
		size := min(int64(max(2*cap(o.bytes), need)), o.limit)
		bigger := make([]byte, len(o.bytes), size)
		copy(bigger, o.bytes)
		o.bytes = bigger
	}
}

// eachLine calls do for every line of r, its newline included. A line over maxLine comes in pieces.
func eachLine(r io.Reader, do func(line []byte)) {
	buf := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := buf.ReadSlice('\n')
		if len(line) > 0 {
			do(line)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// speech is standard error: reports, log, and the memory of the last lines.
type speech struct {
	progress Progress
	log      io.Writer
	mask     func([]byte) []byte // nil: none
	tail     []byte
}

func (s *speech) line(line []byte) {
	if s.mask != nil {
		line = s.mask(line)
	}
	if s.progress != nil && s.report(line) {
		return
	}
	if s.tail = append(s.tail, line...); len(s.tail) > 2*maxTail+maxLine {
		s.tail = append(s.tail[:0], s.tail[len(s.tail)-2*maxTail:]...)
	}
	if s.log != nil {
		s.log.Write(line) //nolint:errcheck // as documented: a log that is gone does not end a job
	}
}

// report passes on a line that reports progress, and says whether it was one. The errors are those of
// a connection that is gone, which the end of the job will find too.
func (s *speech) report(line []byte) bool {
	if !bytes.HasPrefix(line, []byte(directive)) {
		return false
	}
	verb, text, _ := bytes.Cut(trimNewline(line[len(directive):]), []byte{' '})
	switch string(verb) {
	case "data":
		_ = s.progress.SendData(bytes.Clone(text))
	case "warning":
		_ = s.progress.SendWarning(bytes.Clone(text))
	case "status":
		done, all, ok := parseStatus(string(text))
		if !ok {
			return false
		}
		_ = s.progress.SendStatus(done, all)
	default:
		return false
	}
	return true
}

func parseStatus(text string) (done, all int, ok bool) {
	a, b, found := strings.Cut(strings.TrimSpace(text), "/")
	done, errDone := strconv.Atoi(strings.TrimSpace(a))
	all, errAll := strconv.Atoi(strings.TrimSpace(b))
	return done, all, found && errDone == nil && errAll == nil && done >= 0 && all >= 0
}

// last gives the last lines, whole ones if it can, as valid text.
func (s *speech) last() string {
	tail := s.tail
	if len(tail) > maxTail {
		tail = tail[len(tail)-maxTail:]
		if i := bytes.IndexByte(tail, '\n'); i >= 0 && i < len(tail)-1 {
			tail = tail[i+1:]
		}
	}
	text := strings.ToValidUTF8(string(bytes.TrimRight(tail, " \r\n")), string(utf8.RuneError))
	return strings.ReplaceAll(text, "\x00", string(utf8.RuneError))
}

func trimNewline(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
}
