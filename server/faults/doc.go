// Package faults holds tests only: the command itself, as a process, under what hostile, slow and
// dying peers do to it.
//
//	garbage  claims  slow readers  half packets  many connections ┐
//	deaths of workers and clients  no descriptors left             ├─► geartrain server ◄── a bystander, who must not notice
//	SIGTERM while jobs run, a second signal, a second life          ┘
//
// Everywhere the process must live, answer the bystander, and take no more memory than is said. `go test`
// runs a small form of each; `make faults` the large one, with GEARTRAIN_FAULTS=yes.
package faults
