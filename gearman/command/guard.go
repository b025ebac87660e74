package command

import (
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// Guard ends programs when this process can no longer do so itself, because it was killed. A small shell
// stands beside it and is told of every process group:
//
//	program starts ──"+ group"──► the shell notes it
//	program is gone ─"- group"──► the shell forgets it
//	this process is gone, however: end of the shell's input ──► SIGKILL for all groups that it has noted
//
// The zero Guard is ready to use; its shell is started with the first program. One Guard is for all
// Commands of a process, and its methods may be called from any goroutine. Where there are no process
// groups it does nothing.
type Guard struct {
	mu    sync.Mutex // guards what follows
	cmd   *exec.Cmd  // nil: not started
	input io.WriteCloser
	err   error // why there is no shell
}

// guardScript is for any POSIX shell.
const guardScript = `trap '' INT TERM HUP QUIT
groups=' '
while read -r op group; do
	case $op in
	+) groups="$groups$group " ;;
	-) groups="${groups%% $group *} ${groups#* $group }" ;;
	esac
done
for group in $groups; do
	kill -s KILL -- "-$group"
done
`

// watch notes a program's group. Without a shell nothing is watched, and [Guard.Close] says why.
func (g *Guard) watch(group int) { g.tell("+ %d\n", group) }

// forget: the group is gone.
func (g *Guard) forget(group int) { g.tell("- %d\n", group) }

func (g *Guard) tell(format string, group int) {
	if g == nil || !canGuard {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cmd == nil && g.err == nil {
		g.start()
	}
	if g.err != nil {
		return
	}
	if _, err := fmt.Fprintf(g.input, format, group); err != nil {
		g.err = fmt.Errorf("command: guard: %w", err)
	}
}

// start starts the shell, out of reach of the terminal's signals.
func (g *Guard) start() {
	cmd := exec.Command("/bin/sh", "-c", guardScript)
	cmd.Dir, cmd.Env = "/", []string{}
	ownSession(cmd)
	input, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		g.err = fmt.Errorf("command: guard: %w", err)
		return
	}
	g.cmd, g.input = cmd, input
}

// Close ends the shell, and with it the groups that are still there. It returns why programs were not
// guarded, nil if they were. The Guard must not be used after it.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cmd != nil {
		g.input.Close()  // a shell that is gone is an error of tell already
		_ = g.cmd.Wait() // its exit code is that of the last kill
		g.cmd = nil
	}
	return g.err
}
