package form

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/wording"
)

// leaks reports a secret in an expression, whose value would be a part of keys and jobs.
func (l *loader) leaks(name string, at document.Span) bool {
	if !slices.Contains(l.plan.Secrets, name) {
		return false
	}
	l.Add(at, "secret-leak", fmt.Sprintf("the secret %q in an expression would be in keys, jobs and logs", name),
		fmt.Sprintf("a command finds it in its environment, as $%s", name))
	return true
}

// checkScriptSecrets warns of secrets that a script gives to a program as an argument: a command line can be
// read by everybody on the machine.
func (l *loader) checkScriptSecrets(n *document.Node) {
	offset := 0
	for _, part := range commandsOf(n.Text) {
		words := strings.Fields(part)
		if len(words) > 0 && !staysInShell(words[0]) {
			for _, m := range variable.FindAllStringSubmatchIndex(part, -1) {
				l.warnOfSecret(n, part[m[2]:m[3]], words[0], offset+m[0])
			}
		}
		offset += len(part) + 1
	}
}

func (l *loader) warnOfSecret(n *document.Node, name, program string, offset int) {
	if !slices.Contains(l.plan.Secrets, name) {
		return
	}
	at := l.within(n, utf8.RuneCountInString(n.Text[:offset]))
	at.End = at.Column + 1 + utf8.RuneCountInString(name)
	l.Warn(at, "secret-leak", fmt.Sprintf("the secret %q is an argument of %s, which all users of the machine can see", name, wording.Shorten(program, 40)),
		"let the program read it from its environment or its standard input")
}

// commandsOf cuts a script where one command ends and the next begins, roughly: each cut takes one byte.
func commandsOf(script string) []string {
	var parts []string
	for {
		i := strings.IndexAny(script, ";|&\n")
		if i < 0 {
			return append(parts, script)
		}
		parts, script = append(parts, script[:i]), script[i+1:]
	}
}

// staysInShell reports whether a command is the shell's own, so that nobody else sees its arguments.
func staysInShell(word string) bool {
	name, _, isAssignment := strings.Cut(word, "=")
	own := []string{"echo", "printf", "[", "test", "export", "read", "set", ":", "case", "if", "while", "until", "local", "unset"}
	return isAssignment && validEnv.MatchString(name) || slices.Contains(own, word)
}
