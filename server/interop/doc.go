// Package interop holds tests only: the clients, workers and commands that people have, unchanged,
// against this module's server; and this module's client and worker against the servers that people
// have. Where the reference server is installed most tests run against that one as well, so that what
// they ask for is what it does.
//
//	gearman gearadmin ┐                              ┌ gearman
//	Perl  PHP  C      ├─► geartrain server, gearmand ◄┤ Perl  PHP  C
//	Node  Go          ┘                              └ Node  Go
//
// The programs are in testdata/interop. A test of one whose interpreter or library is missing skips and
// says so. .ci/packages lists the packages of Debian; the libraries for Node are looked for in the
// folder node_modules of the folder that GEARTRAIN_INTEROP_NODE names, where .ci/node puts them.
package interop
