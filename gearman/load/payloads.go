package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// spread is how many different fillers there are; neighbours in number differ.
const spread = 61

// payloads makes the payload of each job and knows it again:
//
//	number   8 bytes, big endian
//	check    8 bytes, a mix of the number and of the measurement's salt
//	filler   a piece of random bytes that begins at number mod spread
//
// It is safe for concurrent use.
type payloads struct {
	size   int
	salt   uint64
	random []byte
}

func newPayloads(size int) *payloads {
	p := &payloads{size: size, salt: rand.Uint64()}
	for len(p.random) < size-minSize+spread {
		p.random = binary.BigEndian.AppendUint64(p.random, rand.Uint64())
	}
	return p
}

// head is the part of a payload that is the job's own, appended to dst.
func (p *payloads) head(dst []byte, job int) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(job))
	return binary.BigEndian.AppendUint64(dst, p.checkWord(uint64(job)))
}

// filler is the rest of it. It never changes and is shared by many jobs.
func (p *payloads) filler(job int) []byte {
	i := job % spread
	return p.random[i : i+p.size-minSize]
}

// job is the number of the job that a payload belongs to, or what is wrong with the payload.
func (p *payloads) job(payload []byte) (int, error) {
	if len(payload) != p.size {
		return noJob, fmt.Errorf("%d bytes, sent %d", len(payload), p.size)
	}
	number := binary.BigEndian.Uint64(payload)
	if number >= maxJobs || binary.BigEndian.Uint64(payload[8:]) != p.checkWord(number) {
		return noJob, fmt.Errorf("its first %d bytes are of no job", minSize)
	}
	job := int(number)
	if !bytes.Equal(payload[minSize:], p.filler(job)) {
		return noJob, fmt.Errorf("it is of job %d, and differs after byte %d", job, minSize)
	}
	return job, nil
}

// checkWord spreads every bit of its input over the word (the finaliser of splitmix64).
func (p *payloads) checkWord(number uint64) uint64 {
	x := number ^ p.salt
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
