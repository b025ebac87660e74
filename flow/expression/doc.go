// Package expression is the language of ${{ }} in pipelines. A [Template] is a JSON value in whose strings
// expressions stand:
//
//	{"url": "${{ item.url }}", "note": "page ${{ index }} of ${{ params.site }}"}
//
// It is compiled once, which finds what is wrong, and evaluated over a [Scope] for each job.
//
// Expressions are pure: they see the contexts that their place allows ([ContextParams] and those after it)
// and nothing else, no clock, no chance and no environment. So the same values give the same result, and
// keys hold. Nor can one run for long or fill the memory: length, nesting and all that an evaluation does
// are bounded. The syntax is that of github.com/expr-lang/expr, with functions of our own.
//
// # Reading order
//
// template.go is values with expressions in them, expression.go compiles one, check.go says what is wrong with
// its names. functions.go is the table of functions, which are in lists.go, texts.go and times.go. work.go is
// the bound of an evaluation, and patch.go puts its counters into the compiled expression.
package expression
