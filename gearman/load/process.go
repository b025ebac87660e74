package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// process is the server's process by its id, 0 for none. It is read from Linux's /proc.
type process int

// tick is the unit of CPU time in /proc: USER_HZ is 100 wherever Go runs on Linux.
const tick = 10 * time.Millisecond

// check tells whether the process can be watched.
func (p process) check() error {
	if p == 0 {
		return nil
	}
	if _, err := p.stat(); err != nil {
		return fmt.Errorf("%w: the CPU time of process %d: %w", ErrConfig, p, err)
	}
	return nil
}

// cpu is the CPU time that the process has used, in the kernel too; 0 if it cannot be told.
func (p process) cpu() time.Duration {
	fields, err := p.stat()
	if err != nil {
		return 0
	}
	return time.Duration(number(fields, 14)+number(fields, 15)) * tick
}

// memory is the memory that the process has in use, in bytes; 0 if it cannot be told.
func (p process) memory() int {
	fields, err := p.stat()
	if err != nil {
		return 0
	}
	return number(fields, 24) * os.Getpagesize()
}

// stat reads the fields of /proc/PID/stat, of which the manual counts the first as 1.
func (p process) stat() ([][]byte, error) {
	if p == 0 {
		return nil, os.ErrNotExist
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
	if err != nil {
		return nil, err
	}
	fields := [][]byte{nil, nil, nil} // [1] and [2], id and name, are left out; the name may have blanks
	fields = append(fields, bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])...)
	if len(fields) < 25 {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields", p, len(fields)-1)
	}
	return fields, nil
}

func number(fields [][]byte, i int) int {
	n, err := strconv.Atoi(string(fields[i]))
	if err != nil {
		return 0
	}
	return n
}
