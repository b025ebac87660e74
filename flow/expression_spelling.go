package flow

import (
	"slices"
	"strings"
	"unicode"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"
)

// Two spellings that expr does not know are put into its own before it parses, one character for
// one, so that columns stay:
//
//	contains(a, b)        Contains(a, b)        a call of what expr has only as an operator
//	stages.fetch-page.x   stages.fetchーpage.x   a dash in the name of a stage or parameter
//
// A minus after such a name therefore needs spaces around it.

// operatorFunctions are the words that are operators in expr, and functions too for us.
func operatorFunctions() []string { return []string{"contains", "startsWith", "endsWith"} }

func functionSpelling(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

func respell(source string) string {
	tokens, err := lexer.Lex(file.NewSource(source))
	if err != nil {
		return source // the parser says what is wrong with it
	}
	text := []rune(source)
	for i, token := range tokens {
		if isCall(tokens, i) && slices.Contains(operatorFunctions(), token.Value) {
			text[token.From] = unicode.ToUpper(text[token.From])
		}
		if token.Is(lexer.Identifier, ContextStages, ContextParams) {
			respellDashes(text, tokens[i+1:])
		}
	}
	return string(text)
}

// isCall reports whether the operator word at i stands where a value begins, before a bracket.
func isCall(tokens []lexer.Token, i int) bool {
	if !tokens[i].Is(lexer.Operator) || i+1 >= len(tokens) || !tokens[i+1].Is(lexer.Bracket, "(") {
		return false
	}
	if i == 0 {
		return true
	}
	before := tokens[i-1]
	if before.Is(lexer.Operator, "not") && i > 1 {
		// "a not contains (b)" is the operator, "x and not contains(a, b)" the call.
		before = tokens[i-2]
	}
	return before.Is(lexer.Operator) || before.Is(lexer.Bracket, "(", "[", "{")
}

// respellDashes replaces the dashes of the name that follows a context and a dot.
func respellDashes(text []rune, after []lexer.Token) {
	if len(after) < 2 || !after[0].Is(lexer.Operator, ".") {
		return
	}
	for name := after[1:]; len(name) >= 3; name = name[2:] {
		dash, next := name[1], name[2]
		isJoined := name[0].To == dash.From && dash.To == next.From
		isWord := next.Kind == lexer.Identifier || next.Kind == lexer.Number || next.Kind == lexer.Operator && isLetters(next.Value)
		if !dash.Is(lexer.Operator, "-") || !isJoined || !isWord {
			return
		}
		text[dash.From] = []rune(dashLetter)[0]
	}
}

func isLetters(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) }) < 0
}
