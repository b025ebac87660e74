package command

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// helperEnv makes the test binary behave as the program that it names.
const helperEnv = "COMMAND_TEST_HELPER"

// speakEnv is the descriptor that tells a helper's parent that it has spoken.
const speakEnv = "COMMAND_TEST_SPEAK"

func TestMain(m *testing.M) {
	if mode := os.Getenv(helperEnv); mode != "" {
		os.Exit(helper(mode, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// program is a Command that runs one of the helpers.
func program(mode string, args ...string) *Command {
	return &Command{Argv: append([]string{os.Args[0]}, args...), Env: []string{helperEnv + "=" + mode}}
}

// helper is a program; it returns its exit code.
func helper(mode string, args []string) int {
	switch mode {
	case "cat":
		io.Copy(os.Stdout, os.Stdin) //nolint:errcheck // a helper
	case "args":
		fmt.Printf("%q", args)
	case "env":
		fmt.Print(strings.Join(os.Environ(), "\n"))
	case "pwd":
		dir, _ := os.Getwd()
		fmt.Print(dir)
	case "exit": // code, text for standard error
		fmt.Fprint(os.Stderr, args[1])
		code, _ := strconv.Atoi(args[0])
		return code
	case "kill-self":
		self, _ := os.FindProcess(os.Getpid())
		self.Kill() //nolint:errcheck // the test sees whether it worked
		select {}
	case "flood": // bytes on standard output
		n, _ := strconv.Atoi(args[0])
		for chunk := bytes.Repeat([]byte("x"), 1<<16); n > 0; n -= len(chunk) {
			os.Stdout.Write(chunk[:min(n, len(chunk))]) //nolint:errcheck // a helper
		}
	case "stderr":
		io.Copy(os.Stderr, os.Stdin) //nolint:errcheck // a helper
	case "hang": // says hello to an address and stays, deaf to SIGTERM
		signal.Ignore(syscall.SIGTERM)
		hold(args[0])
	case "orphan": // as hang, but it speaks when the parent that started it has gone
		signal.Ignore(syscall.SIGTERM)
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // a helper
		hold(args[0])
	case "polite": // the same, but prints and exits 0 at SIGTERM
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		go hold(args[0])
		<-stop
		fmt.Print("partial")
	case "escape": // in a session of its own, for a second or two
		defer greet(args[0]).Close()
		time.Sleep(3 * time.Second)
	case "parent": // starts a helper of the given kind that outlives it
		child := exec.Command(os.Args[0], args[1:]...)
		child.Env = append(os.Environ(), helperEnv+"="+args[0])
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		child.SysProcAttr = childAttr(args[0])
		alive, _ := child.StdinPipe() // until this process ends
		heard, speak, _ := os.Pipe()
		child.ExtraFiles = []*os.File{speak}
		child.Env = append(child.Env, speakEnv+"=3")
		if err := child.Start(); err != nil {
			return 1
		}
		speak.Close()
		if args[0] != "orphan" {
			heard.Read(make([]byte, 1)) //nolint:errcheck // a helper
		}
		fmt.Print("parent")
		runtime.KeepAlive(alive)
	}
	return 0
}

// hold keeps a connection to the test open for as long as the process lives.
func hold(addr string) {
	defer greet(addr).Close()
	select {}
}

// greet connects to the test and says so to whoever wants to know.
func greet(addr string) net.Conn {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		os.Exit(9)
	}
	conn.Write([]byte{1}) //nolint:errcheck // a helper
	if fd, err := strconv.Atoi(os.Getenv(speakEnv)); err == nil {
		os.NewFile(uintptr(fd), "parent").Write([]byte{1}) //nolint:errcheck // a helper
	}
	return conn
}
