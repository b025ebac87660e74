package main

import (
	"errors"
	"io"
	"os"
)

var errNotOnWindows = errors.New("not possible on Windows")

func drainSignals() []os.Signal { return []os.Signal{os.Interrupt} }

func hangup() []os.Signal { return nil }

func keepPrivate() {}

func limitDescriptors(int) error { return errNotOnWindows }

func becomeUser(string) error { return errNotOnWindows }

func inBackground() bool { return false }

func goToBackground(io.Writer) error { return errNotOnWindows }

func sayReady() error { return nil }
