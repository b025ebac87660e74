//go:build !unix

package server

import "errors"

// canWriteOnce: without non-blocking descriptors every write goes through the writer goroutine.
const canWriteOnce = false

func writeNow(uintptr, [][]byte) (int, error) { return 0, errors.ErrUnsupported }
