// Package document reads the YAML of a pipeline file into nodes that know their places, and collects the
// problems that are found at them. What the values mean is not its business.
//
// YAML is taken as far as JSON has it: null, true, false, JSON's numbers, text, lists and maps, with anchors,
// aliases and merges. What is not surely a boolean or a number is text. Size, nesting and what aliases stand
// for are bounded before the parser, or whoever walks the nodes, could take long. A syntax error gets the
// place and the words of the usual mistake behind it (scan.go, syntax.go); an expression without the quotes
// that YAML wants is read all the same, and reported (quote.go).
package document
