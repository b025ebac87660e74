// Package command makes a job out of a program: the payload is its standard input, its standard
// output is the result, exactly as it is.
//
//	payload ──► stdin  ┌─────────┐ stdout ──► result
//	                   │ program │ stderr ──► ::status, ::data, ::warning ──► packets
//	environment ─────► └─────────┘        └─► other lines ──► the log, the last of them into the error
//
// A program never passes through a shell and gets only the environment that [Environ] lets through.
// It runs in a process group of its own:
//
//	running ──► exits ──► standard output ends, or Grace passes ──► group killed ──► done
//	   │
//	   └─ context ends, or too much output ──► SIGTERM to the group ──► Grace ──► SIGKILL ──► done
//
// Run returns when nothing of the group is left. Only a process that leaves the group (setsid) can
// outlive its job; it cannot delay it. On Windows, which has no process groups in this sense, only
// the program itself is killed.
//
// # What the end means
//
//	exit code 0    the job is complete
//	exit code 75   (EX_TEMPFAIL of sysexits.h) it failed, and trying again is worth it
//	any other      it failed
//
// # Lines on standard error
//
//	::status 3/10      WORK_STATUS
//	::data TEXT        WORK_DATA
//	::warning TEXT     WORK_WARNING
//
// Anything else, a malformed line of these included, is log.
package command
