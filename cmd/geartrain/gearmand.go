package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"
)

// gearmandFlags are the options of gearmand 1.1, so that a script that starts gearmand can start
// this server instead. Those that mean something here are fields; the others are accepted, and a
// line of the log says what holds instead.
type gearmandFlags struct {
	version   bool
	checkArgs bool
	ssl       bool
	config    string

	daemon      bool
	descriptors int
	user        string
	pidFile     string

	logFile string
	verbose string
	louder  int

	exceptions   bool
	jobRetries   int
	workerWakeup int
	prefix       string

	keepalive                                bool
	keepaliveIdle, keepaliveGap, keepaliveNo int
}

func (f *gearmandFlags) register(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.version, "version", "V", false, "print the version and end")
	flags.BoolVar(&f.checkArgs, "check-args", false, "check the command line and end")
	flags.BoolVar(&f.ssl, "ssl", false, "refused, except by --check-args: TLS is not built in yet")
	flags.StringVar(&f.config, "config-file", "", "read options from a file, one name=value or --name value in a line; the command line wins")
	flags.BoolVarP(&f.daemon, "daemon", "d", false, "go to the background; the command returns once the server listens")
	flags.IntVarP(&f.descriptors, "file-descriptors", "f", 0, "limit of open files (default what the system allows)")
	flags.StringVarP(&f.user, "user", "u", "", "become this user after the ports are open")
	flags.StringVarP(&f.pidFile, "pid-file", "P", "", "file to write the process id to")
	flags.StringVarP(&f.logFile, "log-file", "l", "stderr", `file to log to, "stderr" or "none"`)
	flags.StringVar(&f.verbose, "verbose", "", "gearmand's name for --log-level: FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG")
	flags.CountVarP(&f.louder, "louder", "v", "log more; twice: all")
	flags.BoolVar(&f.exceptions, "exceptions", false, "send exceptions to clients that did not ask for them too")
	flags.IntVarP(&f.jobRetries, "job-retries", "j", 0, "how often a job is handed out before it fails, 0 for no limit")
	flags.IntVarP(&f.workerWakeup, "worker-wakeup", "w", 1, "sleeping workers woken for a job; 0, gearmand's word for all of them, is taken as 1: no job is left waiting for it")
	flags.StringVar(&f.prefix, "job-handle-prefix", "", `what handles begin with (default "H:HOST")`)
	flags.BoolVar(&f.keepalive, "keepalive", false, "TCP keepalive with the times below; without it Go's own")
	flags.IntVar(&f.keepaliveIdle, "keepalive-idle", -1, "seconds of silence before the first probe")
	flags.IntVar(&f.keepaliveGap, "keepalive-interval", -1, "seconds between probes")
	flags.IntVar(&f.keepaliveNo, "keepalive-count", -1, "probes without an answer before the connection is lost")
	for _, option := range withoutMeaning() {
		switch option.takes {
		case takesNothing:
			flags.BoolP(option.name, option.letter, false, "")
		case takesNumber:
			flags.IntP(option.name, option.letter, 0, "")
		case takesQueue:
			flags.VarP(&moduleName{known: []string{"builtin", "libsqlite3", "libmemcached", "libtokyocabinet", "libdrizzle", "mysql", "postgres", "redis"}},
				option.name, option.letter, "")
		case takesProtocol:
			flags.VarP(&moduleName{known: []string{"gear", "http"}}, option.name, option.letter, "")
		default:
			flags.StringP(option.name, option.letter, "", "")
		}
		_ = flags.MarkHidden(option.name) // it was registered in the lines above
	}
}

// oldOption is an option of gearmand that changes nothing here, and what holds instead. What gearmand
// refuses as its value is refused here too.
type oldOption struct {
	name, letter string
	takes        oldValue
	instead      string
}

// oldValue is what the value of an old option may be.
type oldValue int

const (
	takesText oldValue = iota
	takesNothing
	takesNumber
	takesQueue
	takesProtocol
)

// moduleName is the value of an option that names a module of gearmand, in any case.
type moduleName struct {
	name  string
	known []string
}

func (m *moduleName) Set(name string) error {
	if !slices.ContainsFunc(m.known, func(k string) bool { return strings.EqualFold(k, name) }) {
		return fmt.Errorf("%q is no module of gearmand; there are %s", name, strings.Join(m.known, ", "))
	}
	m.name = strings.ToLower(name)
	return nil
}

func (m *moduleName) String() string { return m.name }

func (*moduleName) Type() string { return "name" }

func withoutMeaning() []oldOption {
	const plugins = "there are no queue plugins; --data FOLDER keeps background jobs over the end of the server"
	return []oldOption{
		{"backlog", "b", takesNumber, "the listen backlog is the system's largest"},
		{"hashtable-buckets", "", takesNumber, "the index of keys grows by itself"},
		{"protocol", "r", takesProtocol, "there are no protocol modules; the Gearman protocol is always spoken"},
		{"round-robin", "R", takesNothing, "functions of one priority always take turns"},
		{"queue-type", "q", takesQueue, plugins},
		{"syslog", "", takesNothing, "the log goes to standard error or --log-file"},
		{"coredump", "", takesNothing, "Go writes core dumps when GOTRACEBACK=crash is set"},
		{"threads", "t", takesNumber, "all processors are used; GOMAXPROCS limits them"},
		{"http-port", "", takesText, "there is no HTTP protocol module"},
		{"store-queue-on-shutdown", "", takesNothing, plugins},
		{"libsqlite3-db", "", takesText, plugins},
		{"libsqlite3-table", "", takesText, plugins},
		{"mysql-host", "", takesText, plugins}, {"mysql-port", "", takesText, plugins},
		{"mysql-user", "", takesText, plugins}, {"mysql-password", "", takesText, plugins},
		{"mysql-db", "", takesText, plugins}, {"mysql-table", "", takesText, plugins},
		{"libpq-conninfo", "", takesText, plugins}, {"libpq-table", "", takesText, plugins},
		{"libmemcached-servers", "", takesText, plugins},
		{"libmemcached-prefix", "", takesText, plugins},
		{"redis-server", "", takesText, plugins}, {"redis-port", "", takesText, plugins},
		{"redis-password", "", takesText, plugins}, {"redis-prefix", "", takesText, plugins},
		{"ssl-ca-file", "", takesText, "TLS is not built in yet"},
		{"ssl-certificate", "", takesText, "TLS is not built in yet"},
		{"ssl-key", "", takesText, "TLS is not built in yet"},
	}
}

// meaningless are the log lines about options that were given and change nothing.
func (f *gearmandFlags) meaningless(flags *pflag.FlagSet) []string {
	var lines []string
	for _, option := range withoutMeaning() {
		given := flags.Lookup(option.name)
		if given.Changed && !(option.name == "queue-type" && given.Value.String() == "builtin") {
			lines = append(lines, fmt.Sprintf("--%s changes nothing: %s", option.name, option.instead))
		}
	}
	return lines
}

// asGearmand gives wrong usage the exit code that it has in gearmand, for programs that look at it.
func asGearmand(err error) error {
	if coded, ok := errors.AsType[*codedError](err); ok {
		coded.code = exitFailed
	}
	return err
}

// configFileArgument accepts gearmand's @FILE and nothing else.
func configFileArgument(args []string) error {
	if len(args) > 1 || len(args) == 1 && !strings.HasPrefix(args[0], "@") {
		return usageError("unexpected argument %q; usage: geartrain server [@CONFIG-FILE]", args[len(args)-1])
	}
	return nil
}

// readConfig sets the options of a configuration file that the command line leaves open.
func (f *gearmandFlags) readConfig(flags *pflag.FlagSet, args []string) error {
	name := f.config
	if len(args) == 1 {
		name = args[0][1:]
	}
	if name == "" {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return &codedError{exitNoServer, fmt.Errorf("read the configuration: %w; nothing was started", err)}
	}
	defer file.Close()
	given := map[string]bool{}
	flags.Visit(func(flag *pflag.Flag) { given[flag.Name] = true })
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		option, value := configOption(text)
		flag := flags.Lookup(option)
		if flag == nil && len(option) == 1 {
			flag = flags.ShorthandLookup(option)
		}
		if flag == nil {
			return &codedError{exitInvalid, fmt.Errorf("%s:%d: unknown option %q", name, n, option)}
		}
		if given[flag.Name] {
			continue
		}
		if value == "" && flag.NoOptDefVal != "" {
			value = flag.NoOptDefVal
		}
		if err := flags.Set(flag.Name, value); err != nil {
			return &codedError{exitInvalid, fmt.Errorf("%s:%d: %w", name, n, err)}
		}
	}
	return lines.Err()
}

// configOption takes a line of a configuration file apart: "name=value", "name value" and "name", as on
// the command line with or without dashes.
func configOption(text string) (name, value string) {
	text = strings.TrimLeft(text, "-")
	end := strings.IndexFunc(text, func(r rune) bool { return r == '=' || unicode.IsSpace(r) })
	if end < 0 {
		return text, ""
	}
	value = strings.TrimSpace(text[end:])
	return text[:end], strings.TrimSpace(strings.TrimPrefix(value, "="))
}

// check finds what is wrong with the options.
func (f *gearmandFlags) check() error {
	if f.ssl && !f.checkArgs {
		return usageError("--ssl: TLS is not built in yet; nothing was started; leave it out, or put a TLS proxy in front")
	}
	if f.louder > 2 {
		return usageError("-%s: -vv logs all there is", strings.Repeat("v", f.louder))
	}
	if f.verbose != "" && f.logLevel() == "" {
		return usageError("--verbose %q: it is one of FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO and DEBUG", f.verbose)
	}
	if strings.ContainsFunc(f.prefix, func(r rune) bool { return r <= ' ' || r == '/' || r >= 0x7f }) {
		return usageError("--job-handle-prefix %q: it must be of printable ASCII without spaces and slashes", f.prefix)
	}
	return nil
}

// apply does what must happen before the ports are opened.
func (f *gearmandFlags) apply() error {
	if f.descriptors > 0 {
		if err := limitDescriptors(f.descriptors); err != nil {
			return fmt.Errorf("--file-descriptors %d: %w", f.descriptors, err)
		}
	}
	return nil
}

// settle does what must happen once the ports are open.
func (f *gearmandFlags) settle() error {
	if f.pidFile != "" {
		if err := os.WriteFile(f.pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			return fmt.Errorf("--pid-file: %w", err)
		}
	}
	if f.user != "" {
		if err := becomeUser(f.user); err != nil {
			return fmt.Errorf("--user %s: %w", f.user, err)
		}
	}
	return nil
}

// leave takes the pid file away, unless it is another process's by now.
func (f *gearmandFlags) leave() {
	if f.pidFile == "" {
		return
	}
	if text, err := os.ReadFile(f.pidFile); err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid()) {
		_ = os.Remove(f.pidFile) // the process ends; there is nobody left to tell
	}
}

// handlePrefix is what stands before the number in handles.
func (f *gearmandFlags) handlePrefix() string {
	prefix := f.prefix
	if prefix == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "geartrain"
		}
		prefix = "H:" + host
	}
	return prefix + ":"
}

// logLevel is --verbose or -v in the words of --log-level, "" when neither was given.
func (f *gearmandFlags) logLevel() string {
	switch strings.ToUpper(f.verbose) {
	case "FATAL", "ALERT", "CRITICAL", "ERROR":
		return "error"
	case "WARNING":
		return "warn"
	case "NOTICE", "INFO":
		return "info"
	case "DEBUG":
		return "debug"
	}
	switch f.louder {
	case 0:
		return ""
	case 1:
		return "info"
	}
	return "debug"
}

// openLog is where the log goes. As with gearmand, that is standard error when the file cannot be opened.
func (f *gearmandFlags) openLog(standard io.Writer) (to io.Writer, done func()) {
	switch f.logFile {
	case "", "stderr":
		return standard, ignoreHangups()
	case "none":
		return io.Discard, ignoreHangups()
	}
	file, err := openLogFile(f.logFile)
	if err != nil {
		fmt.Fprintf(standard, "geartrain: --log-file: %v; the log goes to standard error\n", err)
		return standard, ignoreHangups()
	}
	return file, func() { file.Close() }
}

func (f *gearmandFlags) keepAlive() net.KeepAliveConfig {
	if !f.keepalive {
		return net.KeepAliveConfig{}
	}
	seconds := func(n int) time.Duration { return time.Duration(max(n, 0)) * time.Second }
	return net.KeepAliveConfig{
		Enable: true, Idle: seconds(f.keepaliveIdle), Interval: seconds(f.keepaliveGap), Count: max(f.keepaliveNo, 0),
	}
}
