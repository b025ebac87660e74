package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/disk"
)

// dataFlags are the flags of the server that say whether and how jobs are stored.
type dataFlags struct {
	dir       string
	sync      string
	strict    bool
	onFailure string
	backups   string
}

func (f *dataFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.dir, "data", "", "folder in which background jobs and retained results survive the end of the server (default none: all is in memory)")
	flags.StringVar(&f.sync, "sync", "always", "when a job is on stable storage: always (before it is accepted), interval=DURATION or never")
	flags.BoolVar(&f.strict, "strict", false, "do not start if anything stored is damaged; without it the damaged jobs are set aside and named")
	flags.StringVar(&f.onFailure, "on-store-failure", "readonly", "what a failed disk does: readonly (foreground jobs go on, background ones are refused) or exit")
	flags.StringVar(&f.backups, "backup-dir", "", "folder under which the admin command \"backup\" may write copies of --data (default nowhere)")
}

// check finds what is wrong with the flags.
func (f *dataFlags) check() error {
	if _, err := disk.ParseSync(f.sync); err != nil {
		return usageError("--sync: %w; nothing was started", err)
	}
	if f.onFailure != "readonly" && f.onFailure != "exit" {
		return usageError("--on-store-failure %q: it is readonly or exit", f.onFailure)
	}
	if f.dir == "" && f.strict {
		return usageError("--strict is about stored jobs: it needs --data and a folder")
	}
	return nil
}

// apply sets what does not need the store.
func (f *dataFlags) apply(cfg *server.Config) error {
	cfg.EndOnStoreFailure = f.onFailure == "exit"
	if f.backups == "" {
		return nil
	}
	root, err := filepath.Abs(f.backups)
	cfg.BackupRoot = root
	return err
}

// open opens the store; nil without a folder for it. close reports what its end has come to.
func (f *dataFlags) open(logger *slog.Logger) (s store.Store, close func() error, err error) {
	if f.dir == "" {
		return nil, func() error { return nil }, nil
	}
	sync, err := disk.ParseSync(f.sync)
	if err != nil {
		return nil, nil, usageError("--sync: %w", err)
	}
	if f.backups != "" {
		if err := os.MkdirAll(f.backups, 0o700); err != nil {
			return nil, nil, fmt.Errorf("--backup-dir: %w; nothing was started", err)
		}
	}
	d, err := disk.Open(disk.Config{Dir: f.dir, Sync: sync, Strict: f.strict, Logger: logger})
	if err != nil {
		return nil, nil, &codedError{exitNoServer, fmt.Errorf("--data %s: %w; nothing was started", f.dir, err)}
	}
	return d, func() error {
		if err := d.Close(); err != nil && !errors.Is(err, store.ErrFailed) { // of that everybody has heard
			return fmt.Errorf("close the data folder: %w", err)
		}
		return nil
	}, nil
}

// where says it in the line that everybody sees.
func (f *dataFlags) where() string {
	if f.dir == "" {
		return "queues in memory"
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		dir = f.dir
	}
	return "background jobs in " + dir
}
