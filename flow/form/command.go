package form

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// environment reads a map of texts. Numbers and booleans stand as they are written.
func (l *loader) environment(n *document.Node, stage *stageSource, contexts []string) map[string]expression.Template {
	if n == nil {
		return nil
	}
	env := make(map[string]expression.Template, len(n.Entries))
	for _, e := range n.Entries {
		name, v := e.Key, e.Value
		if !validEnv.MatchString(name.Text) {
			l.Add(name.Span, "value", fmt.Sprintf("%q cannot be an environment variable", wording.Shorten(name.Text, 60)), "a name has letters, digits and _")
			continue
		}
		if slices.Contains(l.plan.Secrets, name.Text) {
			l.Add(name.Span, "exclusive", fmt.Sprintf("%q is a secret, whose value is not in the file", name.Text), "leave out one of them")
			continue
		}
		if v.Kind != document.Scalar || v.Value == nil {
			hint := "write toJSON(...) in an expression for lists and maps"
			if v.IsNull() {
				hint = `write "" for an empty value`
			}
			l.Add(v.Span, "type", fmt.Sprintf("%q wants text, not %s", name.Text, v.Describe()), hint)
			continue
		}
		if text, err := value.Text(v.Value); err != nil || text != v.Text {
			l.unquoted(v, name.Text)
			continue
		}
		asText := *v
		asText.Value = v.Text
		env[name.Text] = l.template(&asText, name.Text, stage, contexts)
	}
	return env
}

var validEnv = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// command reads run: a script, or an argument vector.
func (l *loader) command(n *document.Node, stage *stageSource, contexts []string) *flow.Command {
	if n == nil {
		return nil
	}
	c := &flow.Command{Dir: l.folder()}
	if n.Kind == document.Scalar {
		if i := strings.Index(n.Text, "${{"); i >= 0 {
			at := l.within(n, utf8.RuneCountInString(n.Text[:i]))
			l.Add(at, "expression", `a script has no expressions: the value would be read as shell code`, `set it under env: and write "$NAME", or write run as a list`)
		}
		if strings.TrimSpace(n.Text) == "" {
			l.Add(n.Span, "value", `"run" is empty`, "")
		}
		c.Script = n.Text
		l.checkScriptSecrets(n)
		l.checkScriptNames(n)
		return c
	}
	if len(n.List) == 0 {
		l.Add(n.Span, "value", `"run" is empty`, "write [program, argument, ...]")
	}
	for i, child := range n.List {
		c.Argv = append(c.Argv, l.argument(child, i, stage, contexts))
	}
	l.checkShell(n)
	return c
}

// argument reads one element of an argument vector.
func (l *loader) argument(n *document.Node, i int, stage *stageSource, contexts []string) expression.Template {
	if n.Kind != document.Scalar || n.Value == nil {
		l.Add(n.Span, "type", "an argument is text, not "+n.Describe(), "")
		return expression.Template{}
	}
	if text, err := value.Text(n.Value); err != nil || text != n.Text {
		l.unquoted(n, "run")
		return expression.Template{}
	}
	if i == 0 && strings.Contains(n.Text, "${{") {
		l.Add(n.Span, "expression", "the program itself cannot be an expression", "")
		return expression.Template{}
	}
	if i == 0 && n.Text == "" {
		l.Add(n.Span, "value", "the program has no name", "")
	}
	if name := l.variableIn(n.Text, stage); i > 0 && name != "" {
		hint := "write ${{ ... }}, or write run as a script"
		if slices.Contains(l.plan.Secrets, name) {
			hint = "the program finds it in its environment"
		}
		l.Warn(n.Span, "value", fmt.Sprintf("without a shell $%s stays as it is", name), hint)
	}
	asText := *n
	asText.Value = n.Text
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
func (l *loader) checkShell(n *document.Node) {
	if len(n.List) == 0 || !isShell(n.List[0].Text) {
		return
	}
	for i, child := range n.List[1:] {
		if !isCodeFlag(child.Text) || i+2 >= len(n.List) {
			continue
		}
		script := n.List[i+2]
		if at := strings.Index(script.Text, "${{"); at >= 0 {
			l.Add(l.within(script, utf8.RuneCountInString(script.Text[:at])), "expression",
				fmt.Sprintf("%s would read the value as code", n.List[0].Text), `give it as a further argument and write "$1", or set it under env:`)
		}
		return
	}
}

// checkScriptNames warns of variables that have another name here.
func (l *loader) checkScriptNames(n *document.Node) {
	for _, m := range flowVariable.FindAllStringSubmatchIndex(n.Text, -1) {
		at := l.within(n, utf8.RuneCountInString(n.Text[:m[0]]))
		at.End = at.Column + m[1] - m[0]
		l.Warn(at, "value", fmt.Sprintf("no variable is named %s", n.Text[m[2]:m[3]]), "here it is GEARTRAIN_"+n.Text[m[4]:m[5]])
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
