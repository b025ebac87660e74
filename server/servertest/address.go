package servertest

import (
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"runtime"
	"testing"
)

// FreeAddress is an address that was free a moment ago, for servers that cannot choose a port by themselves. Where a
// machine has many addresses of its own, it is on one for this test alone, so that nobody else takes it.
func FreeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(ownHost(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String()
}

// ownHost is this machine, by a name that depends on the test and its process.
func ownHost(t testing.TB) string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	h := fnv.New32a()
	fmt.Fprint(h, os.Getpid(), t.Name())
	sum := h.Sum(nil)
	return fmt.Sprintf("127.%d.%d.%d", 1+sum[0]%254, sum[1], 1+sum[2]%254)
}
