package protocol

import "strconv"

// Type is a packet's type, the second word of its header.
type Type uint32

// The packet types, with who sends them, their magic, and the layout of their arguments ("|" is a
// NUL byte). Where gearmand 1.1.20 and the protocol document differ, the layout is gearmand's.
const (
	Text Type = 0 // not on the wire: an admin line, its text as the only argument

	CanDo              Type = 1  // worker REQ  function
	CantDo             Type = 2  // worker REQ  function
	ResetAbilities     Type = 3  // worker REQ  -
	PreSleep           Type = 4  // worker REQ  -
	unused             Type = 5  // reserved by the protocol
	Noop               Type = 6  // server RES  -
	SubmitJob          Type = 7  // client REQ  function | unique | payload
	JobCreated         Type = 8  // server RES  handle
	GrabJob            Type = 9  // worker REQ  -
	NoJob              Type = 10 // server RES  -
	JobAssign          Type = 11 // server RES  handle | function | payload
	WorkStatus         Type = 12 // worker REQ, server RES  handle | numerator | denominator (decimal text)
	WorkComplete       Type = 13 // worker REQ, server RES  handle | result
	WorkFail           Type = 14 // worker REQ, server RES  handle
	GetStatus          Type = 15 // client REQ  handle
	EchoReq            Type = 16 // any REQ     payload
	EchoRes            Type = 17 // server RES  payload
	SubmitJobBg        Type = 18 // client REQ  function | unique | payload
	Error              Type = 19 // server RES  code | text
	StatusRes          Type = 20 // server RES  handle | known 0/1 | running 0/1 | numerator | denominator
	SubmitJobHigh      Type = 21 // client REQ  function | unique | payload
	SetClientID        Type = 22 // any REQ     id
	CanDoTimeout       Type = 23 // worker REQ  function | milliseconds (decimal text)
	AllYours           Type = 24 // worker REQ  -   (never implemented by gearmand)
	WorkException      Type = 25 // worker REQ, server RES  handle | exception
	OptionReq          Type = 26 // any REQ     option
	OptionRes          Type = 27 // server RES  option
	WorkData           Type = 28 // worker REQ, server RES  handle | data
	WorkWarning        Type = 29 // worker REQ, server RES  handle | data
	GrabJobUniq        Type = 30 // worker REQ  -
	JobAssignUniq      Type = 31 // server RES  handle | function | unique | payload
	SubmitJobHighBg    Type = 32 // client REQ  function | unique | payload
	SubmitJobLow       Type = 33 // client REQ  function | unique | payload
	SubmitJobLowBg     Type = 34 // client REQ  function | unique | payload
	SubmitJobSched     Type = 35 // client REQ  function | unique | minute | hour | day of month | month | day of week | payload
	SubmitJobEpoch     Type = 36 // client REQ  function | unique | epoch seconds (decimal text) | payload
	SubmitReduceJob    Type = 37 // client REQ  function | unique | reducer | aggregate | payload (see Split)
	SubmitReduceJobBg  Type = 38 // client REQ  function | unique | reducer | aggregate | payload
	GrabJobAll         Type = 39 // worker REQ  -
	JobAssignAll       Type = 40 // server RES  handle | function | unique | reducer | payload
	GetStatusUnique    Type = 41 // client REQ  unique
	StatusResUnique    Type = 42 // server RES  unique | known | running | numerator | denominator | waiting clients
	lastType                = StatusResUnique
	maxArity                = 8 // SUBMIT_JOB_SCHED
	minReduceArguments      = 4 // the document's form: without aggregate
)

// kind is what the table knows of one type.
type kind struct {
	name  string
	arity int
}

var kinds = [...]kind{
	Text:              {"TEXT", 1},
	CanDo:             {"CAN_DO", 1},
	CantDo:            {"CANT_DO", 1},
	ResetAbilities:    {"RESET_ABILITIES", 0},
	PreSleep:          {"PRE_SLEEP", 0},
	unused:            {"UNUSED", 0},
	Noop:              {"NOOP", 0},
	SubmitJob:         {"SUBMIT_JOB", 3},
	JobCreated:        {"JOB_CREATED", 1},
	GrabJob:           {"GRAB_JOB", 0},
	NoJob:             {"NO_JOB", 0},
	JobAssign:         {"JOB_ASSIGN", 3},
	WorkStatus:        {"WORK_STATUS", 3},
	WorkComplete:      {"WORK_COMPLETE", 2},
	WorkFail:          {"WORK_FAIL", 1},
	GetStatus:         {"GET_STATUS", 1},
	EchoReq:           {"ECHO_REQ", 1},
	EchoRes:           {"ECHO_RES", 1},
	SubmitJobBg:       {"SUBMIT_JOB_BG", 3},
	Error:             {"ERROR", 2},
	StatusRes:         {"STATUS_RES", 5},
	SubmitJobHigh:     {"SUBMIT_JOB_HIGH", 3},
	SetClientID:       {"SET_CLIENT_ID", 1},
	CanDoTimeout:      {"CAN_DO_TIMEOUT", 2},
	AllYours:          {"ALL_YOURS", 0},
	WorkException:     {"WORK_EXCEPTION", 2},
	OptionReq:         {"OPTION_REQ", 1},
	OptionRes:         {"OPTION_RES", 1},
	WorkData:          {"WORK_DATA", 2},
	WorkWarning:       {"WORK_WARNING", 2},
	GrabJobUniq:       {"GRAB_JOB_UNIQ", 0},
	JobAssignUniq:     {"JOB_ASSIGN_UNIQ", 4},
	SubmitJobHighBg:   {"SUBMIT_JOB_HIGH_BG", 3},
	SubmitJobLow:      {"SUBMIT_JOB_LOW", 3},
	SubmitJobLowBg:    {"SUBMIT_JOB_LOW_BG", 3},
	SubmitJobSched:    {"SUBMIT_JOB_SCHED", 8},
	SubmitJobEpoch:    {"SUBMIT_JOB_EPOCH", 4},
	SubmitReduceJob:   {"SUBMIT_REDUCE_JOB", 5},
	SubmitReduceJobBg: {"SUBMIT_REDUCE_JOB_BACKGROUND", 5},
	GrabJobAll:        {"GRAB_JOB_ALL", 0},
	JobAssignAll:      {"JOB_ASSIGN_ALL", 5},
	GetStatusUnique:   {"GET_STATUS_UNIQUE", 1},
	StatusResUnique:   {"STATUS_RES_UNIQUE", 6},
}

// extensions are the packets of the extensions, from JobCancel on.
var extensions = [...]kind{
	0:                      {"JOB_CANCEL", 2},
	SubmitTask - JobCancel: {"SUBMIT_TASK", 4},
	AttachJob - JobCancel:  {"ATTACH_JOB", 2},
	CancelJob - JobCancel:  {"CANCEL_JOB", 1},
	CancelKey - JobCancel:  {"CANCEL_KEY", 2},
	CancelRes - JobCancel:  {"CANCEL_RES", 2},
	FindJob - JobCancel:    {"FIND_JOB", 2},
	FindRes - JobCancel:    {"FIND_RES", 4},

	JobRetained - JobCancel: {"JOB_RETAINED", 2},
	LeaveJob - JobCancel:    {"LEAVE_JOB", 1},
}

// kind is what the tables know of t, nil if it is no packet.
func (t Type) kind() *kind {
	switch {
	case t <= lastType:
		return &kinds[t]
	case t >= JobCancel && t <= LeaveJob:
		return &extensions[t-JobCancel]
	}
	return nil
}

// String is the type's name in the protocol document, or its number.
func (t Type) String() string {
	if k := t.kind(); k != nil {
		return k.name
	}
	return strconv.FormatUint(uint64(t), 10)
}

// Known reports whether t is a packet of the protocol or of its extensions.
func (t Type) Known() bool { return t != Text && t != unused && t.kind() != nil }

// Arity is the number of arguments of a packet of type t, 0 for an unknown one. The reduce packets
// are the exception: see [Split].
func (t Type) Arity() int {
	if k := t.kind(); k != nil {
		return k.arity
	}
	return 0
}

// ParseType finds the type with the given name in the protocol document.
func ParseType(name string) (Type, bool) {
	for t := CanDo; t <= LeaveJob; t++ {
		if t.Known() && t.kind().name == name {
			return t, true
		}
	}
	return 0, false
}

// Magic is a packet's first word: the direction it goes.
type Magic uint32

const (
	Request  Magic = 0x00524551 // "\0REQ": to the job server
	Response Magic = 0x00524553 // "\0RES": from the job server
)

// String is "REQ", "RES" or the number.
func (m Magic) String() string {
	switch m {
	case Request:
		return "REQ"
	case Response:
		return "RES"
	}
	return strconv.FormatUint(uint64(m), 16)
}
