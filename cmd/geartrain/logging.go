package main

import (
	"io"
	"log/slog"

	"github.com/spf13/pflag"
)

// logFlags are the flags of every command that say what is logged. The log goes to standard error.
type logFlags struct {
	level  string
	format string
}

func (f *logFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.level, "log-level", "warn", "least level that is logged: debug, info, warn or error")
	flags.StringVar(&f.format, "log-format", "text", "text or json")
}

// logger writes to w.
func (f *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, usageError("--log-level %q: it is one of debug, info, warn, error", f.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usageError("--log-format %q: it is text or json", f.format)
}
