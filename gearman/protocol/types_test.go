package protocol_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// types is the whole protocol once more, written down independently.
var types = []struct {
	number protocol.Type
	name   string
	arity  int
}{
	{1, "CAN_DO", 1},
	{2, "CANT_DO", 1},
	{3, "RESET_ABILITIES", 0},
	{4, "PRE_SLEEP", 0},
	{6, "NOOP", 0},
	{7, "SUBMIT_JOB", 3},
	{8, "JOB_CREATED", 1},
	{9, "GRAB_JOB", 0},
	{10, "NO_JOB", 0},
	{11, "JOB_ASSIGN", 3},
	{12, "WORK_STATUS", 3},
	{13, "WORK_COMPLETE", 2},
	{14, "WORK_FAIL", 1},
	{15, "GET_STATUS", 1},
	{16, "ECHO_REQ", 1},
	{17, "ECHO_RES", 1},
	{18, "SUBMIT_JOB_BG", 3},
	{19, "ERROR", 2},
	{20, "STATUS_RES", 5},
	{21, "SUBMIT_JOB_HIGH", 3},
	{22, "SET_CLIENT_ID", 1},
	{23, "CAN_DO_TIMEOUT", 2},
	{24, "ALL_YOURS", 0},
	{25, "WORK_EXCEPTION", 2},
	{26, "OPTION_REQ", 1},
	{27, "OPTION_RES", 1},
	{28, "WORK_DATA", 2},
	{29, "WORK_WARNING", 2},
	{30, "GRAB_JOB_UNIQ", 0},
	{31, "JOB_ASSIGN_UNIQ", 4},
	{32, "SUBMIT_JOB_HIGH_BG", 3},
	{33, "SUBMIT_JOB_LOW", 3},
	{34, "SUBMIT_JOB_LOW_BG", 3},
	{35, "SUBMIT_JOB_SCHED", 8},
	{36, "SUBMIT_JOB_EPOCH", 4},
	{37, "SUBMIT_REDUCE_JOB", 5},
	{38, "SUBMIT_REDUCE_JOB_BACKGROUND", 5},
	{39, "GRAB_JOB_ALL", 0},
	{40, "JOB_ASSIGN_ALL", 5},
	{41, "GET_STATUS_UNIQUE", 1},
	{42, "STATUS_RES_UNIQUE", 6},
	{1001, "JOB_CANCEL", 2},
	{1002, "SUBMIT_TASK", 4},
	{1003, "ATTACH_JOB", 2},
	{1004, "CANCEL_JOB", 1},
	{1005, "CANCEL_KEY", 2},
	{1006, "CANCEL_RES", 2},
	{1007, "FIND_JOB", 2},
	{1008, "FIND_RES", 4},
	{1009, "JOB_RETAINED", 2},
	{1010, "LEAVE_JOB", 1},
}

func TestTypes(t *testing.T) {
	t.Parallel()
	known := map[protocol.Type]bool{}
	for _, want := range types {
		known[want.number] = true
		require.True(t, want.number.Known(), want.name)
		require.Equal(t, want.name, want.number.String())
		require.Equal(t, want.arity, want.number.Arity(), want.name)
		parsed, ok := protocol.ParseType(want.name)
		require.True(t, ok, want.name)
		require.Equal(t, want.number, parsed)
	}
	for n := range protocol.Type(1100) {
		require.Equal(t, known[n], n.Known(), "type %d", n)
	}
}

func TestUnknownTypes(t *testing.T) {
	t.Parallel()
	for _, n := range []protocol.Type{0, 5, 43, 1000, 1 << 31, 1<<32 - 1} {
		require.False(t, n.Known())
		require.NotEmpty(t, n.String())
	}
	require.Equal(t, "43", protocol.Type(43).String())
	require.Zero(t, protocol.Type(43).Arity())
	for _, name := range []string{"", "TEXT", "UNUSED", "submit_job", "SUBMIT"} {
		_, ok := protocol.ParseType(name)
		require.False(t, ok, name)
	}
}

func TestMagicString(t *testing.T) {
	t.Parallel()
	require.Equal(t, "REQ", protocol.Request.String())
	require.Equal(t, "RES", protocol.Response.String())
	require.Equal(t, "58595a", protocol.Magic(0x58595a).String())
}
