package gearman

import (
	"cmp"
	"hash/crc32"
	"hash/fnv"
	"slices"
)

// Selector chooses the server of a task. It is called from many goroutines at once.
type Selector interface {
	// Pick returns the servers to try, best first. It must not change servers, which are those of
	// the client's configuration; what it returns must be some of them, and is not changed.
	Pick(function, key string, servers []string) []string
}

// rendezvous puts the servers into an order that depends on function and key only, so that equal keys
// meet on one server, whoever submits them and in whatever order servers were written down. When a
// server is down, its keys spread over all others and the rest stay where they are.
type rendezvous struct{}

func (rendezvous) Pick(function, key string, servers []string) []string {
	if len(servers) < 2 {
		return servers
	}
	type scored struct {
		server string
		score  uint64
	}
	list := make([]scored, len(servers))
	for i, server := range servers {
		list[i] = scored{server, score(server, function, key)}
	}
	slices.SortFunc(list, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.server, b.server))
	})
	order := make([]string, len(list))
	for i, s := range list {
		order[i] = s.server
	}
	return order
}

// PerlSelector chooses as Perl's Gearman::Client does, by CRC-32 of the key and the position of a server
// in the configuration: equal keys of Go and Perl clients meet on one server if both name the same
// servers in the same order. The function does not count. When a server is down the next one of the
// list is tried; Perl's client gives up there. Tasks with the key "-" go by their payload in Perl, and
// by the key here.
type PerlSelector struct{}

// Pick implements [Selector].
func (PerlSelector) Pick(_, key string, servers []string) []string {
	if len(servers) < 2 {
		return servers
	}
	hash := int(crc32.ChecksumIEEE([]byte(key)) >> 16 & 0x7fff)
	first := hash % len(servers)
	return slices.Concat(servers[first:], servers[:first])
}

// score is FNV-1a over the three, finished as in MurmurHash3, since FNV alone spreads short keys
// badly in its high bits.
func score(server, function, key string) uint64 {
	h := fnv.New64a()
	for _, part := range []string{server, "\x00", function, "\x00", key} {
		h.Write([]byte(part)) // never fails
	}
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
