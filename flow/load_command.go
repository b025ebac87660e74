package flow

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// environment reads a map of texts. Numbers and booleans stand as they are written.
func (l *loader) environment(n *node, stage *stageSource, contexts []string) map[string]expression.Template {
	if n == nil {
		return nil
	}
	env := make(map[string]expression.Template, len(n.entries))
	for _, e := range n.entries {
		name, v := e.key, e.value
		if !validEnv.MatchString(name.text) {
			l.add(name.span, "value", fmt.Sprintf("%q cannot be an environment variable", wording.Shorten(name.text, 60)), "a name has letters, digits and _")
			continue
		}
		if slices.Contains(l.plan.Secrets, name.text) {
			l.add(name.span, "exclusive", fmt.Sprintf("%q is a secret, whose value is not in the file", name.text), "leave out one of them")
			continue
		}
		if v.kind != scalarNode || v.value == nil {
			hint := "write toJSON(...) in an expression for lists and maps"
			if v.isNull() {
				hint = `write "" for an empty value`
			}
			l.add(v.span, "type", fmt.Sprintf("%q wants text, not %s", name.text, v.describe()), hint)
			continue
		}
		if text, err := value.Text(v.value); err != nil || text != v.text {
			l.unquoted(v, name.text)
			continue
		}
		asText := *v
		asText.value = v.text
		env[name.text] = l.template(&asText, name.text, stage, contexts)
	}
	return env
}

var validEnv = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// command reads run: a script, or an argument vector.
func (l *loader) command(n *node, stage *stageSource, contexts []string) *Command {
	if n == nil {
		return nil
	}
	c := &Command{Dir: l.folder()}
	if n.kind == scalarNode {
		if i := strings.Index(n.text, "${{"); i >= 0 {
			at := l.within(n, utf8.RuneCountInString(n.text[:i]))
			l.add(at, "expression", `a script has no expressions: the value would be read as shell code`, `set it under env: and write "$NAME", or write run as a list`)
		}
		if strings.TrimSpace(n.text) == "" {
			l.add(n.span, "value", `"run" is empty`, "")
		}
		c.Script = n.text
		l.checkScriptSecrets(n)
		l.checkScriptNames(n)
		return c
	}
	if len(n.list) == 0 {
		l.add(n.span, "value", `"run" is empty`, "write [program, argument, ...]")
	}
	for i, child := range n.list {
		c.Argv = append(c.Argv, l.argument(child, i, stage, contexts))
	}
	l.checkShell(n)
	return c
}

// argument reads one element of an argument vector.
func (l *loader) argument(n *node, i int, stage *stageSource, contexts []string) expression.Template {
	if n.kind != scalarNode || n.value == nil {
		l.add(n.span, "type", "an argument is text, not "+n.describe(), "")
		return expression.Template{}
	}
	if text, err := value.Text(n.value); err != nil || text != n.text {
		l.unquoted(n, "run")
		return expression.Template{}
	}
	if i == 0 && strings.Contains(n.text, "${{") {
		l.add(n.span, "expression", "the program itself cannot be an expression", "")
		return expression.Template{}
	}
	if i == 0 && n.text == "" {
		l.add(n.span, "value", "the program has no name", "")
	}
	if name := l.variableIn(n.text, stage); i > 0 && name != "" {
		hint := "write ${{ ... }}, or write run as a script"
		if slices.Contains(l.plan.Secrets, name) {
			hint = "the program finds it in its environment"
		}
		l.warn(n.span, "value", fmt.Sprintf("without a shell $%s stays as it is", name), hint)
	}
	asText := *n
	asText.value = n.text
	return l.template(&asText, "run", stage, contexts)
}

// variableIn is the variable of a command's environment that a text means to use.
func (l *loader) variableIn(text string, stage *stageSource) string {
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		name := m[1]
		_, isDeclared := l.plan.Env[name]
		if !isDeclared && stage != nil {
			_, isDeclared = stage.Env[name]
		}
		if isDeclared || slices.Contains(l.plan.Secrets, name) || name == "ITEM" || strings.HasPrefix(name, "GEARTRAIN_") {
			return name
		}
	}
	return ""
}

var variable = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// checkShell refuses an expression in the script that an argument vector gives to a shell: it would be read
// as code, which is what vectors are to keep out.
func (l *loader) checkShell(n *node) {
	if len(n.list) == 0 || !isShell(n.list[0].text) {
		return
	}
	for i, child := range n.list[1:] {
		if !isCodeFlag(child.text) || i+2 >= len(n.list) {
			continue
		}
		script := n.list[i+2]
		if at := strings.Index(script.text, "${{"); at >= 0 {
			l.add(l.within(script, utf8.RuneCountInString(script.text[:at])), "expression",
				fmt.Sprintf("%s would read the value as code", n.list[0].text), `give it as a further argument and write "$1", or set it under env:`)
		}
		return
	}
}

// checkScriptNames warns of variables that have another name here.
func (l *loader) checkScriptNames(n *node) {
	for _, m := range flowVariable.FindAllStringSubmatchIndex(n.text, -1) {
		at := l.within(n, utf8.RuneCountInString(n.text[:m[0]]))
		at.end = at.column + m[1] - m[0]
		l.warn(at, "value", fmt.Sprintf("no variable is named %s", n.text[m[2]:m[3]]), "here it is GEARTRAIN_"+n.text[m[4]:m[5]])
	}
}

// flowVariable is a variable by the name that some descriptions of this form have.
var flowVariable = regexp.MustCompile(`\$\{?(FLOW_(ARGS|KEY|ATTEMPT|FENCE|STAGE|RUN|FUNCTION|DEADLINE|REASON|SUMMARY|STATUS))\b`)

// isShell reports whether a program reads code from an argument.
func isShell(program string) bool {
	name := program[strings.LastIndexAny(program, `/\`)+1:]
	return slices.Contains([]string{"sh", "bash", "dash", "zsh", "ksh", "ash", "busybox", "fish", "python", "python3", "perl", "ruby", "node", "php", "awk"}, name)
}

// isCodeFlag reports whether the argument behind a flag is code: -c, -ec, -e, -r.
func isCodeFlag(flag string) bool {
	return len(flag) > 1 && flag[0] == '-' && flag[1] != '-' && strings.ContainsAny(flag[len(flag)-1:], "cer")
}
