package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/flow/runs"
)

// stateFlags is --state, with the environment behind it.
type stateFlags struct{ dir string }

func (f *stateFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.dir, "state", "",
		"folder that keeps runs (default $GEARTRAIN_STATE, then $XDG_STATE_HOME/geartrain, then ~/.local/state/geartrain)")
}

// named is the folder that flag or environment name, empty when neither does.
func (f *stateFlags) named() string { return cmp.Or(f.dir, os.Getenv("GEARTRAIN_STATE")) }

// open opens the state folder.
func (f *stateFlags) open() (*runs.State, error) {
	dir := f.named()
	if dir == "" {
		var err error
		if dir, err = runs.DefaultDir(); err != nil {
			return nil, err
		}
	}
	return runs.Open(dir)
}

// find opens the state folder and finds a run in it.
func (f *stateFlags) find(text string) (*runs.State, *runs.Run, error) {
	state, err := f.open()
	if err != nil {
		return nil, nil, err
	}
	run, err := state.Find(text)
	if errors.Is(err, runs.ErrNotFound) {
		err = &codedError{exitNotFound, fmt.Errorf("%w; geartrain ps lists them", err)}
	}
	if err != nil {
		return nil, nil, errors.Join(err, state.Close())
	}
	return state, run, nil
}
