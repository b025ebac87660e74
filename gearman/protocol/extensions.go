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
)

// JobCancel tells a worker that asked for [OptionCancel] to end an attempt. See there.
const JobCancel Type = 1001 // server RES  handle | reason
