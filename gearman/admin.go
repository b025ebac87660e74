package gearman

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrNotFound: the server does not know the job or function that an admin command names.
var ErrNotFound = errors.New("gearman: not found")

// Bounds of what a server may answer to one command, in bytes.
const (
	maxAdminLine   = 4 << 20
	maxAdminAnswer = 1 << 30
	maxAdminBreaks = 64 // line breaks in one name
)

// AdminConfig says whom an [Admin] talks to. The zero value is the server on this machine.
type AdminConfig struct {
	Server      string        // as in [ClientConfig].Servers. Default: localhost:4730
	DialTimeout time.Duration // Default: 5 s

	// Dial opens connections. Default: that of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Admin speaks a job server's admin text protocol over one connection. It works with stock gearmand,
// as far as that has the commands. Its methods are safe for concurrent use and take turns. After an
// error that is no [AdminError] the connection is closed and every method fails.
//
// Names are as the server lists them: this project's server writes control bytes, and spaces where
// they divide columns, as \xNN.
type Admin struct {
	server string

	mu   sync.Mutex // held for a command and its answer, so that they stay together
	conn net.Conn
	in   *bufio.Reader
	err  error // why the connection is of no further use
}

// AdminError is a server's refusal of a command. It wraps [ErrNotFound] or [ErrUnsupported] if that is
// why.
type AdminError struct{ Command, Text string }

func (e *AdminError) Error() string {
	return fmt.Sprintf("gearman: admin command %q refused: %s", e.Command, quoted([]byte(e.Text)))
}

// Unwrap is ErrNotFound, ErrUnsupported or nil.
func (e *AdminError) Unwrap() error {
	switch {
	case strings.HasPrefix(e.Text, "UNKNOWN_JOB"), strings.Contains(e.Text, "not found"):
		return ErrNotFound
	case strings.HasPrefix(strings.ToUpper(e.Text), "UNKNOWN_COMMAND"), strings.HasPrefix(e.Text, "UNKNOWN_SHOW_ARGUMENTS"),
		e.Text == "UNKNOWN_ERROR":
		return ErrUnsupported
	}
	return nil
}

// DialAdmin connects. The error of a server that cannot be reached wraps [ErrNoServers].
func DialAdmin(ctx context.Context, cfg AdminConfig) (*Admin, error) {
	server := cfg.Server
	if server == "" {
		server = defaultServer
	}
	network, address, err := serverAddress(server)
	if err != nil {
		return nil, err
	}
	timeout := cfg.DialTimeout
	if timeout <= 0 {
		timeout = defaultDialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dial := cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("%w: connect to %s: %w", ErrNoServers, server, err)
	}
	return &Admin{server: server, conn: conn, in: bufio.NewReader(conn)}, nil
}

// Close ends the connection.
func (a *Admin) Close() error {
	err := a.conn.Close() // not under the lock: it ends a command that waits
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = ErrClosed
	}
	return err
}

// Version is what the server says it is.
func (a *Admin) Version(ctx context.Context) (string, error) { return a.word(ctx, "version") }

// PID is the server's process id.
func (a *Admin) PID(ctx context.Context) (int, error) {
	text, err := a.word(ctx, "getpid")
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("gearman: getpid: the server answers %s", quoted([]byte(text)))
	}
	return pid, nil
}

// Cancel ends a job, whoever waits for it. Stock gearmand refuses it for a job that runs.
func (a *Admin) Cancel(ctx context.Context, handle string) error {
	_, err := a.word(ctx, "cancel job", handle)
	return err
}

// MaxQueue limits the jobs of a function, waiting and running: one number for each priority, three
// numbers for high, normal and low, or none for no limit. Zero is no limit.
func (a *Admin) MaxQueue(ctx context.Context, function string, limits ...int) error {
	args := []string{function}
	for _, n := range limits {
		args = append(args, strconv.Itoa(n))
	}
	_, err := a.word(ctx, "maxqueue", args...)
	return err
}

// CreateFunction makes a function known before anyone uses it.
func (a *Admin) CreateFunction(ctx context.Context, function string) error {
	_, err := a.word(ctx, "create function", function)
	return err
}

// DropFunction forgets a function and its waiting jobs. It is refused while the function has workers.
func (a *Admin) DropFunction(ctx context.Context, function string) error {
	_, err := a.word(ctx, "drop function", function)
	return err
}

// Shutdown asks for the server's graceful end. Most servers refuse that.
func (a *Admin) Shutdown(ctx context.Context) error {
	_, err := a.word(ctx, "shutdown")
	return err
}

// RetryDead makes a dead letter a job again. Only this project's server has dead letters.
func (a *Admin) RetryDead(ctx context.Context, handle string) error {
	_, err := a.word(ctx, "retry dead", handle)
	return err
}

// DropDead forgets a dead letter.
func (a *Admin) DropDead(ctx context.Context, handle string) error {
	_, err := a.word(ctx, "drop dead", handle)
	return err
}

// word is a command with an answer of one line, which is returned without its OK.
func (a *Admin) word(ctx context.Context, command string, args ...string) (string, error) {
	var answer string
	err := a.do(ctx, command, args, func() error {
		line, err := a.line(command)
		answer = strings.TrimSpace(strings.TrimPrefix(line, "OK"))
		return err
	})
	return answer, err
}

// lines is a command whose answer is a list. Each line goes to parse; one that it does not take is
// the beginning of the next one, for names with line breaks in them, which stock gearmand lists as
// they are.
func (a *Admin) lines(ctx context.Context, command string, args []string, parse func(line string) bool) error {
	return a.do(ctx, command, args, func() error {
		begun, breaks, size := "", 0, 0
		for {
			line, err := a.line(command)
			if err != nil || line == "." {
				return err
			}
			if size += len(line); size > maxAdminAnswer {
				return fmt.Errorf("gearman: %s: the answer is longer than %d bytes", command, maxAdminAnswer)
			}
			if parse(begun + line) {
				begun, breaks = "", 0
				continue
			}
			begun += line + "\n"
			if breaks++; breaks > maxAdminBreaks || len(begun) > maxAdminLine {
				return fmt.Errorf("gearman: %s: the server answers %s", command, quoted([]byte(begun)))
			}
		}
	})
}

// do sends a command and reads its answer with read. ctx ends both, and then the connection.
func (a *Admin) do(ctx context.Context, command string, args []string, read func() error) error {
	line := command
	for _, arg := range args {
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fmt.Errorf("gearman: %s: %q cannot stand in an admin command", command, arg)
		}
		line += " " + arg
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	stop := context.AfterFunc(ctx, func() { a.conn.Close() })
	defer stop()
	_, err := a.conn.Write([]byte(line + "\n"))
	if err == nil {
		err = read()
	}
	var refused *AdminError
	if err == nil || errors.As(err, &refused) {
		return err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	a.conn.Close() // its error says nothing that the first one does not
	a.err = fmt.Errorf("%w: %s: %s: %w", ErrConnectionLost, a.server, command, err)
	return a.err
}

// line is the next line of an answer, without its end, or the server's refusal.
func (a *Admin) line(command string) (string, error) {
	var text []byte
	for {
		part, err := a.in.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case len(text) > maxAdminLine:
			return "", fmt.Errorf("a line is longer than %d bytes", maxAdminLine)
		case err == nil:
			if refusal, is := strings.CutPrefix(string(text), "ERR"); is && strings.HasSuffix(refusal, "\r\n") {
				return "", &AdminError{Command: command, Text: strings.ReplaceAll(strings.TrimSpace(refusal), "+", " ")}
			}
			return strings.TrimSuffix(string(text), "\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}
