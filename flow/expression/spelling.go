package expression

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
// A minus after such a name therefore needs spaces around it. And a line end inside of quotes, which is what
// YAML makes of \n in a text in double quotes, is taken for what it is.

// operatorFunctions are the words that are operators in expr, and functions too for us.
func operatorFunctions() []string { return []string{"contains", "startsWith", "endsWith"} }

func functionSpelling(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

func respell(source string) string {
	text := respellDashes([]rune(source))
	tokens, err := lexer.Lex(file.NewSource(string(text)))
	if err != nil {
		return string(text) // the parser says what is wrong with it
	}
	for i, token := range tokens {
		if isCall(tokens, i) && slices.Contains(operatorFunctions(), token.Value) {
			text[token.From] = unicode.ToUpper(text[token.From])
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

// respellDashes replaces the dashes of the names that follow stages. and params. outside of quotes. It
// works on characters, since to a lexer "a-1.results" ends in the number 1.
func respellDashes(text []rune) []rune {
	quote := rune(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			skip, open := passQuoted(c, quote)
			i, quote = i+skip, open
		case c == '\'' || c == '"' || c == '`':
			quote = respellLines(text, i)
		case isWordRune(c):
			end := wordEnd(text, i)
			word := string(text[i:end])
			isField := i > 0 && text[i-1] == '.' && (i < 2 || text[i-2] != '.') // 1..stages.x is no field
			if !isField && (word == ContextStages || word == ContextParams) {
				end = respellName(text, end)
			}
			i = end - 1
		}
	}
	return text
}

// respellLines gives the quote at i, which it replaces by a raw one around a text with line ends.
func respellLines(text []rune, i int) rune {
	length := slices.Index(text[i+1:], text[i])
	if length < 0 {
		return text[i]
	}
	inside := text[i+1 : i+1+length]
	isPlain := !slices.Contains(inside, '\\') && !slices.Contains(inside, '`')
	if isPlain && slices.Contains(inside, '\n') {
		text[i], text[i+1+length] = '`', '`'
	}
	return text[i]
}

// respellName replaces the dashes of the name behind the dot at i, and gives the name's end.
func respellName(text []rune, i int) int {
	if i < len(text) && text[i] == '?' {
		i++
	}
	if i+1 >= len(text) || text[i] != '.' || !isWordRune(text[i+1]) {
		return i
	}
	end := wordEnd(text, i+1)
	for end+1 < len(text) && text[end] == '-' && isWordRune(text[end+1]) {
		text[end] = dashLetter
		end = wordEnd(text, end+1)
	}
	return end
}

func isWordRune(c rune) bool { return c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) }

func wordEnd(text []rune, i int) int {
	for i < len(text) && isWordRune(text[i]) {
		i++
	}
	return i
}
