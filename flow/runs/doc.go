// Package runs keeps the life of pipeline runs in a folder: what each run is, what became of its jobs, who
// drives it now. With it a run that was killed at any point is carried on, and nothing is repeated that has
// a recorded result.
//
// # The state folder
//
//	STATE/                          only its owner can read it
//	    runs/r1.abc…/record.json    what the run is: pipeline, file, parameters, logical time, end
//	                 pipeline.yaml  the file as it was when the run was last started
//	                 report.json    how its last start ended
//	                 progress.json  how far it is, as of a second ago
//	                 lease          who drives it: a lock, and a number that grows with each driver
//	                 journal/N.log  what became of the jobs, written by driver number N alone
//	                 log/N.jsonl    what commands said on standard error
//	                 control/       what others ask of the driver: cancel
//	    answers/*.log               results that hold across runs (fresh)
//	    schedules/NAME.json         what is started by the clock
//
// # Who drives a run
//
//	no lease ──► Drive ──► driver N ──► Finish ──► no lease
//	                          │
//	                          └─ killed: the system frees the lock ──► Drive ──► driver N+1
//
// "Running" is nowhere stored: a run runs when its lease is locked. A driver whose lease has gone to another,
// say after a folder was shared without working locks, finds the other's number at its next write, writes
// nothing more, and its run ends with [ErrFenced]. Each driver has a journal file of its own, so the late
// bytes of one can never damage what another wrote.
//
// # The journal
//
// Records are framed with length and checksum. What a kill leaves half written at the end is not read; a
// damaged record is left out alone. Records are written behind the run's back, a few milliseconds later, and
// are safe against a kill of the process from then on; [Driver.Flush] makes them safe against a loss of power
// too. In memory a run that is carried on has 16 bytes for each earlier result, and a new one nothing.
//
// # Reading order
//
// state.go, record.go, driver.go; then segment.go (the bytes), index.go (finding a key), writer.go, items.go
// (looking at a run afterwards).
package runs
