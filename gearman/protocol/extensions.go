package protocol

// Extensions: what goes beyond Gearman 1.1. Each is asked for with OPTION_REQ and its name. A server
// that has it answers OPTION_RES with the same name, and it holds for that connection from then on;
// a stock server answers ERROR UNKNOWN_OPTION and nothing changes. None of them alters a packet that
// a peer without the option sees.
const (
	// OptionExceptions is gearmand's own: the client wants WORK_EXCEPTION and not just WORK_FAIL.
	OptionExceptions = "exceptions"

	// OptionCancel is asked for by a worker. The server may then send it
	//
	//	JOB_CANCEL (type 1001, RES): handle | reason
	//
	// with the handle exactly as it was assigned. The attempt is no longer the job's current one:
	// whatever the worker still says about it is dropped. The worker ends the work (it cancels the
	// handler's context, it kills the process group) and owes no answer; a WORK_FAIL is welcome and
	// tells the server that the slot is free. Reasons: "timeout", "cancelled".
	OptionCancel = "geartrain-cancel"

	// OptionAttempts is asked for by a worker. The handle in JOB_ASSIGN, JOB_ASSIGN_UNIQ and
	// JOB_ASSIGN_ALL is then followed by "/" and the number of the attempt in decimal, from 1:
	//
	//	H:host:17/2
	//
	// The worker sends it back unchanged in every work packet, so that the server can tell a late
	// result of attempt 1 from one of attempt 2 on the same connection. Clients see the handle
	// without it.
	OptionAttempts = "geartrain-attempts"

	// OptionTasks is asked for by a client. It may then send
	//
	//	SUBMIT_TASK (type 1002, REQ): function | key | options | payload
	//
	// which is answered like SUBMIT_JOB. The options are [TaskOptions] in their text form. With retained=tell
	// a retained result is told from a job: in the place of JOB_CREATED there is then
	//
	//	JOB_RETAINED (type 1009, RES): handle | milliseconds
	//
	// with the age of the result, in decimal.
	//
	//	ATTACH_JOB  (type 1003, REQ): function | key
	//
	// joins the job with that key, or takes its retained result, and is answered like SUBMIT_JOB; it never
	// makes a job: ERROR JOB_NOT_FOUND if there is none.
	//
	//	CANCEL_JOB  (type 1004, REQ): handle
	//	CANCEL_KEY  (type 1005, REQ): function | key
	//	CANCEL_RES  (type 1006, RES): handle or key, as asked | state
	//
	// end a job: queued it goes, running it is taken from its worker; its clients get WORK_FAIL. The answer
	// comes when that is on stable storage, with the state the job was in: "queued", "scheduled",
	// "running", or "none" if there was no such job.
	//
	//	LEAVE_JOB   (type 1010, REQ): handle
	//
	// takes back one submission of this client for the job, whose end it will not hear. A job for which then nobody
	// waits, and which is not in the background, ends as by CANCEL_JOB. There is no answer, also not if there is no
	// such job.
	//
	//	FIND_JOB    (type 1007, REQ): function | key
	//	FIND_RES    (type 1008, RES): function | key | state | milliseconds
	//
	// asks for the state of a key and changes nothing: "queued", "scheduled", "running", "retained", "dead"
	// or "none"; and for how long it has been so, in decimal. Answers come in the order of the questions.
	OptionTasks = "geartrain-tasks"
)

// JobCancel tells a worker that asked for [OptionCancel] to end an attempt. See there.
const JobCancel Type = 1001 // server RES  handle | reason

// Packets of [OptionTasks]. See there.
const (
	SubmitTask Type = 1002 // client REQ  function | key | options | payload
	AttachJob  Type = 1003 // client REQ  function | key
	CancelJob  Type = 1004 // client REQ  handle
	CancelKey  Type = 1005 // client REQ  function | key
	CancelRes  Type = 1006 // server RES  handle or key | state
	FindJob    Type = 1007 // client REQ  function | key
	FindRes    Type = 1008 // server RES  function | key | state | milliseconds

	JobRetained Type = 1009 // server RES  handle | milliseconds
	LeaveJob    Type = 1010 // client REQ  handle
)
