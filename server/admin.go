package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/geartrain/geartrain/server/queue"
)

// command is one command of the admin protocol. Lists end in a line with a period and have gearmand's
// line ends: LF in lists, CRLF after OK and ERR.
type command struct {
	name  string // one to three words, in lower case
	run   func(c *conn, args []string) string
	waits wait
}

// wait is what a command waits for.
type wait uint8

const (
	atOnce wait = iota
	loaded      // what is stored is in the queue again: a list that lacks it would not be true
	stored      // the same, and its answer until the change is stored that it makes to the queue
)

// commands are looked up in this order, so longer names stand before their beginnings.
func commands() []command {
	return []command{
		{"status", status, loaded},
		{"prioritystatus", priorityStatus, loaded},
		{"workers", workers, atOnce},
		{"show jobs", showJobs, loaded},
		{"show unique jobs", showUniqueJobs, loaded},
		{"show scheduled", showScheduled, loaded},
		{"show retained", showRetained, loaded},
		{"show dead", showDead, loaded},
		{"show", incompleteShow, atOnce},
		{"dead letters", deadLetters, loaded},
		{"retry dead", retryDead, stored},
		{"drop dead", dropDead, stored},
		{"version", version, atOnce},
		{"verbose", verbose, atOnce},
		{"getpid", getPID, atOnce},
		{"maxqueue", maxQueue, stored},
		{"create function", createFunction, stored},
		{"create", incomplete("create"), atOnce},
		{"drop function", dropFunction, stored},
		{"drop", incomplete("drop"), atOnce},
		{"cancel job", cancelJob, stored},
		{"cancel key", cancelKey, stored},
		{"cancel", incompleteCancel, atOnce},
		{"guarantees", guarantees, atOnce},
		{"pause", pause, stored},
		{"resume", resume, stored},
		{"backup", backup, stored},
		{"shutdown", shutdown, atOnce},
	}
}

// admin answers one line. It is called within the connection's turn.
func (c *conn) admin(line []byte) {
	words := strings.Fields(string(line))
	for _, cmd := range commands() {
		if n, ok := match(cmd.name, words); ok {
			if cmd.waits != atOnce && c.turn.loading {
				c.waitLoaded()
			}
			before := c.turn.lastOp
			answer := cmd.run(c, words[n:])
			if c.turn.lastOp == before || cmd.waits != stored {
				c.reply(answer)
			} else {
				c.replyAfter(c.turn.lastOp, answer)
			}
			return
		}
	}
	first := ""
	if len(words) > 0 {
		first = words[0]
	}
	c.reply(unknownCommand(first))
}

// reply sends text as it is, which may be empty.
func (c *conn) reply(text string) { c.replyAfter(0, text) }

// replyAfter is reply for an answer that must wait for an operation.
func (c *conn) replyAfter(op uint64, text string) {
	t := &c.turn
	if op > t.settled || c.held.any() {
		t.holdText(c, op, text)
		return
	}
	c.out.appendText([]byte(text))
	t.touch(c)
}

// match reports whether words begin with the command's name, in any case, and of how many words that
// is.
func match(name string, words []string) (int, bool) {
	n := strings.Count(name, " ") + 1
	return n, len(words) >= n && strings.EqualFold(strings.Join(words[:n], " "), name)
}

const (
	ok      = "OK\r\n"
	listEnd = ".\n"

	notStored   = "ERR QUEUE_ERROR The+store+takes+nothing,+nothing+was+changed\r\n"
	outOfMemory = "ERR QUEUE_ERROR Server+is+out+of+memory\r\n"
)

// unknownCommand is gearmand's answer, which repeats the word. Here it is cut, and printable.
func unknownCommand(word string) string {
	if len(word) > 64 {
		word = word[:64]
	}
	return "ERR UNKNOWN_COMMAND Unknown+server+command" + oneLine(word) + "\r\n"
}

func missing(name string) string {
	return "ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+" + name + "\r\n"
}

func incomplete(name string) func(*conn, []string) string {
	return func(*conn, []string) string { return missing(name) }
}

// incompleteShow and incompleteCancel answer as gearmand does to a command that is cut short.
func incompleteShow(_ *conn, args []string) string {
	if len(args) == 0 {
		return unknownCommand("show")
	}
	return "ERR UNKNOWN_SHOW_ARGUMENTS\r\n"
}

func incompleteCancel(_ *conn, args []string) string {
	if len(args) < 2 {
		return unknownCommand("cancel")
	}
	return "ERR UNKNOWN_ERROR\r\n"
}

func version(c *conn, _ []string) string { return "OK " + c.server.cfg.Version + "\n" }

func getPID(*conn, []string) string { return fmt.Sprintf("OK %d\n", os.Getpid()) }

// verbose: the log level, by gearmand's names.
func verbose(c *conn, _ []string) string {
	log, ctx := c.server.cfg.Logger, context.Background()
	switch {
	case log.Enabled(ctx, slog.LevelDebug):
		return "OK DEBUG\n"
	case log.Enabled(ctx, slog.LevelInfo):
		return "OK INFO\n"
	case log.Enabled(ctx, slog.LevelWarn):
		return "OK WARNING\n"
	}
	return "OK ERROR\n"
}

// maxQueue FUNCTION [MAX | HIGH NORMAL [LOW]]: no number, and a number that is not above zero, mean
// no limit.
func maxQueue(c *conn, args []string) string {
	if len(args) == 0 || len(args) > 4 {
		return missing("maxqueue")
	}
	ev := queue.SetMaxQueue{Function: []byte(args[0])}
	for i, a := range args[1:] {
		n, err := strconv.Atoi(a)
		if err != nil {
			return "ERR INVALID_ARGUMENTS maxqueue+takes+numbers\r\n"
		}
		ev.Max[i] = max(n, 0)
	}
	if c.noNames(args[0]) {
		return outOfMemory
	}
	if len(args) == 2 {
		ev.Max[queue.Normal], ev.Max[queue.Low] = ev.Max[queue.High], ev.Max[queue.High]
	}
	c.turn.apply(&ev)
	return ok
}

// noNames refuses to make a function known that nothing would ever make the server forget.
func (c *conn) noNames(function string) bool {
	if _, known := c.turn.state.Function(function); known {
		return false
	}
	if !c.server.limits.over(budgetJobs, c.turn.state.Bytes()-c.server.limits.jobs.Load()) {
		return false
	}
	c.turn.counts.RefusedNames++
	return true
}

func createFunction(c *conn, args []string) string {
	if len(args) != 1 {
		return missing("create")
	}
	if c.noNames(args[0]) {
		return outOfMemory
	}
	c.turn.apply(&queue.CreateFunction{Function: []byte(args[0])})
	if _, created := c.turn.state.Function(args[0]); !created {
		return "ERR QUEUE_ERROR\r\n"
	}
	return ok
}

func dropFunction(c *conn, args []string) string {
	if len(args) != 1 {
		return missing("drop")
	}
	if _, known := c.turn.state.Function(args[0]); !known {
		return "ERR function not found\r\n"
	}
	c.turn.apply(&queue.DropFunction{Function: []byte(args[0])})
	if _, known := c.turn.state.Function(args[0]); known {
		return "ERR there are still connected workers or executing clients\r\n"
	}
	return ok
}

func cancelJob(c *conn, args []string) string {
	if len(args) != 1 {
		return incompleteCancel(c, append([]string{"job"}, args...))
	}
	if _, known := c.turn.state.Job(args[0]); !known {
		return "ERR UNKNOWN_JOB\r\n"
	}
	c.turn.apply(&queue.CancelJob{Handle: []byte(args[0])})
	return ok
}

// cancelKey FUNCTION KEY is cancelJob for who knows the key and not the handle.
func cancelKey(c *conn, args []string) string {
	if len(args) != 2 {
		return missing("cancel")
	}
	before := c.turn.state.Counters().Cancelled
	c.turn.apply(&queue.CancelKey{Function: []byte(args[0]), Key: []byte(args[1])})
	if c.turn.state.Counters().Cancelled == before {
		return unknownJob
	}
	return ok
}

// pause FUNCTION: no job of it is handed out until resume.
func pause(c *conn, args []string) string {
	if len(args) != 1 {
		return missing("pause")
	}
	if c.noNames(args[0]) {
		return outOfMemory
	}
	c.turn.apply(&queue.PauseFunction{Function: []byte(args[0])})
	if f, known := c.turn.state.Function(args[0]); !known || !f.Paused {
		return "ERR QUEUE_ERROR\r\n"
	}
	return ok
}

func resume(c *conn, args []string) string {
	if len(args) != 1 {
		return missing("resume")
	}
	if f, known := c.turn.state.Function(args[0]); !known || !f.Paused {
		return "ERR function not found\r\n"
	}
	c.turn.apply(&queue.ResumeFunction{Function: []byte(args[0])})
	return ok
}

// shutdown [graceful]: both are the graceful end here.
func shutdown(c *conn, args []string) string {
	if !c.server.cfg.AdminShutdown {
		return unknownCommand("shutdown")
	}
	if len(args) > 1 || len(args) == 1 && !strings.EqualFold(args[0], "graceful") {
		return "ERR INVALID_ARGUMENTS shutdown+takes+graceful+or+nothing\r\n"
	}
	c.server.Shutdown()
	return ok
}
