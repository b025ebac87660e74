package runs

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow"
)

// A segment is a file of records: a head, then each record framed.
//
//	"gtrun1\n"  { length, 4 bytes | CRC-32C, 4 bytes | kind, 1 byte | ... }*
const (
	segmentHead = "gtrun1\n"
	frameSize   = 8
	maxRecord   = 1 << 30
)

// Kinds of records.
const (
	jobRecord   = 'j'
	stageRecord = 's'
	hookRecord  = 'h'
)

// maxDatum is the largest item or arguments that are kept as they are; of larger ones there is a hash.
const maxDatum = 4 << 10

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errRecord  = errors.New("a record of the journal is damaged")
)

// frame appends a record that fill writes, framed.
func frame(dst []byte, fill func([]byte) []byte) []byte {
	begin := len(dst)
	dst = fill(append(dst, make([]byte, frameSize)...))
	body := dst[begin+frameSize:]
	binary.LittleEndian.PutUint32(dst[begin:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[begin+4:], crc32.Checksum(body, castagnoli))
	return dst
}

// outcomes in the order of their numbers in files.
var outcomes = [...]flow.Outcome{flow.OutcomeDone, flow.OutcomeAnswered, flow.OutcomeJoined, flow.OutcomeFailed,
	flow.OutcomeRetried, flow.OutcomeWarned}

// kinds of data in the order of their numbers in files.
var kinds = [...]flow.KeyKind{flow.KeyNone, flow.KeyText, flow.KeyJSON, flow.KeyBytes}

// Marks of a datum, beside the number of its kind.
const (
	datumSame   = 0x10 // the arguments are the item
	datumHashed = 0x20 // only the hash is there
)

// appendJob appends a job's record. window is for how long the result may be an answer to other runs.
func appendJob(dst []byte, r *flow.JobRecord, window time.Duration) []byte {
	dst = append(dst, jobRecord, byte(slices.Index(outcomes[:], r.Outcome)))
	dst = binary.AppendUvarint(dst, uint64(r.Place))
	dst = binary.AppendUvarint(dst, uint64(r.Attempt))
	dst = appendTime(dst, r.AddedAt)
	dst = appendTime(dst, r.EndedAt)
	dst = binary.AppendUvarint(dst, uint64(max(window, 0)/time.Second))
	dst = appendText(dst, r.Key)
	dst = appendText(dst, r.Stage)
	dst = appendDatum(dst, r.Item)
	if r.Arguments.Kind == r.Item.Kind && string(r.Arguments.Raw) == string(r.Item.Raw) {
		dst = append(dst, datumSame)
	} else {
		dst = appendDatum(dst, r.Arguments)
	}
	dst = appendText(dst, r.Reason)
	dst = appendText(dst, r.Message)
	return append(binary.AppendUvarint(dst, uint64(len(r.Result))), r.Result...)
}

// appendTime appends whole milliseconds, of no time zero.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(t.UnixMilli()))
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

func appendDatum(dst []byte, d flow.Datum) []byte {
	mark := byte(max(slices.Index(kinds[:], d.Kind), 0))
	if len(d.Raw) <= maxDatum {
		return append(binary.AppendUvarint(append(dst, mark), uint64(len(d.Raw))), d.Raw...)
	}
	hash := hashDatum(d)
	return append(append(dst, mark|datumHashed), hash[:]...)
}

// datumHash tells data apart.
type datumHash [16]byte

func (h datumHash) String() string { return hex.EncodeToString(h[:]) }

func hashDatum(d flow.Datum) datumHash {
	sum := sha256.New()
	sum.Write([]byte(d.Kind + ":"))
	sum.Write(d.Raw)
	return datumHash(sum.Sum(nil))
}

// fields reads the parts of a record. After the first that is not there, all are empty and bad is set.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) number() uint64 {
	n, size := binary.Uvarint(f.rest)
	if size <= 0 {
		f.bad, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[size:]
	return n
}

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.bad, f.rest = true, nil
		return nil
	}
	p := f.rest[:n]
	f.rest = f.rest[n:]
	return p
}

func (f *fields) octet() byte {
	if p := f.take(1); len(p) == 1 {
		return p[0]
	}
	return 0
}

func (f *fields) text() string { return string(f.take(f.number())) }

func (f *fields) time() time.Time {
	ms := f.number()
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

func (f *fields) datum(same flow.Datum, sameHash datumHash) (flow.Datum, datumHash) {
	mark := f.octet()
	if mark == datumSame {
		return same, sameHash
	}
	kind := int(mark &^ datumHashed)
	if kind >= len(kinds) {
		f.bad = true
		return flow.Datum{}, datumHash{}
	}
	d := flow.Datum{Kind: kinds[kind]}
	if mark&datumHashed != 0 {
		var hash datumHash
		copy(hash[:], f.take(uint64(len(hash))))
		return d, hash
	}
	d.Raw = f.take(f.number())
	return d, hashDatum(d)
}

// jobHead is what finding an answer needs of a job's record.
type jobHead struct {
	outcome flow.Outcome
	place   int
	attempt int
	added   time.Time
	ended   time.Time
	window  time.Duration
	key     []byte
}

func (f *fields) head() (h jobHead) {
	if f.octet() != jobRecord {
		f.bad = true
		return h
	}
	if n := int(f.octet()); n < len(outcomes) {
		h.outcome = outcomes[n]
	} else {
		f.bad = true
	}
	h.place, h.attempt = int(f.number()), int(f.number())
	h.added, h.ended = f.time(), f.time()
	h.window = time.Duration(f.number()) * time.Second
	h.key = f.take(f.number())
	return h
}

// parseJob reads a job's record. What it gives refers to body.
func parseJob(body []byte) (Item, error) {
	f := &fields{rest: body}
	h := f.head()
	it := Item{JobRecord: flow.JobRecord{
		Outcome: h.outcome, Place: h.place, Attempt: h.attempt, AddedAt: h.added, EndedAt: h.ended, Key: string(h.key),
	}}
	it.Stage = f.text()
	var itemHash, argumentsHash datumHash
	it.Item, itemHash = f.datum(flow.Datum{}, datumHash{})
	it.Arguments, argumentsHash = f.datum(it.Item, itemHash)
	it.ArgumentsHash = argumentsHash.String()
	it.Reason, it.Message = f.text(), f.text()
	it.JobRecord.Result = f.take(f.number())
	if f.bad {
		return Item{}, errRecord
	}
	return it, nil
}

// parseAnswer reads what a job's record is as an answer.
func parseAnswer(body []byte) (h jobHead, result []byte, err error) {
	f := &fields{rest: body}
	h = f.head()
	f.take(f.number()) // the stage
	for range 2 {      // item, arguments
		if mark := f.octet(); mark&datumHashed != 0 {
			f.take(uint64(len(datumHash{})))
		} else if mark != datumSame {
			f.take(f.number())
		}
	}
	f.take(f.number()) // reason
	f.take(f.number()) // message
	result = f.take(f.number())
	if f.bad {
		return h, nil, errRecord
	}
	return h, result, nil
}

// scan reads the records of a segment from its begin to where it ends or is cut off. A damaged record whose
// length is right is left out alone. The body is valid until each returns.
func scan(file io.Reader, each func(at int64, body []byte) error) error {
	in := bufio.NewReaderSize(file, 256<<10)
	head := make([]byte, len(segmentHead))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != segmentHead {
		return unlessCut(err)
	}
	at := int64(len(segmentHead))
	var record bytes.Buffer // grows with what is there, whatever a damaged length says
	for {
		var f [frameSize]byte
		if _, err := io.ReadFull(in, f[:]); err != nil {
			return unlessCut(err)
		}
		size := binary.LittleEndian.Uint32(f[:])
		if size == 0 || size > maxRecord {
			return nil
		}
		record.Reset()
		if _, err := io.CopyN(&record, in, int64(size)); err != nil {
			return unlessCut(err)
		}
		body := record.Bytes()
		if crc32.Checksum(body, castagnoli) == binary.LittleEndian.Uint32(f[4:]) {
			if err := each(at, body); err != nil {
				return err
			}
		}
		at += frameSize + int64(size)
	}
}

// unlessCut is err, unless the file just ends there, as one does whose writer was killed.
func unlessCut(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return fmt.Errorf("read journal: %w", err)
}

// readRecord reads the record at a position.
func readRecord(file io.ReaderAt, at int64) ([]byte, error) {
	p := make([]byte, 4<<10)
	n, err := file.ReadAt(p, at)
	if err != nil && err != io.EOF || n < frameSize {
		return nil, errors.Join(errRecord, err)
	}
	size, sum := int64(binary.LittleEndian.Uint32(p)), binary.LittleEndian.Uint32(p[4:])
	if size == 0 || size > maxRecord {
		return nil, errRecord
	}
	body := p[frameSize:n]
	if int64(len(body)) < size {
		body = make([]byte, size)
		if _, err := io.ReadFull(io.NewSectionReader(file, at+frameSize, size), body); err != nil {
			return nil, errors.Join(errRecord, err)
		}
	}
	body = body[:size:size]
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, errRecord
	}
	return body, nil
}

// segmentNumbers are the numbers of the drivers that have a journal in the run's folder, in order.
func segmentNumbers(root *os.Root) ([]int, error) {
	entries, err := fs.ReadDir(root.FS(), "journal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".log"); ok {
			if n, err := strconv.Atoi(name); err == nil && n > 0 {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func segmentName(number int) string { return fmt.Sprintf("journal/%06d.log", number) }

// appendJSONRecord appends a record of another kind: a letter and JSON.
func appendJSONRecord(dst []byte, kind byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return dst, err
	}
	return frame(dst, func(p []byte) []byte { return append(append(p, kind), text...) }), nil
}
