package source

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
)

// top is how many places each ranking of a report has.
const top = 15

// WriteReport merges counts into one report of plain text. The order of counts does not matter: equal
// numbers are ranked by name.
func WriteReport(w io.Writer, counts []Count) error {
	var files, lines, functions int
	byLines, byFunctions := map[string]int{}, map[string]int{}
	identifiers, imported := map[string]int{}, map[string]int{}
	for _, c := range counts {
		files, lines, functions = files+c.Files, lines+c.Lines, functions+c.Functions
		byLines[c.Package], byFunctions[c.Package] = c.Lines, c.Functions
		for name, n := range c.Identifiers {
			identifiers[name] += n
		}
		for _, path := range c.Imports {
			imported[path]++
		}
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%d packages, %d files, %d lines, %d functions, %d different identifiers\n",
		len(counts), files, lines, functions, len(identifiers))
	writeRanking(out, "Packages with most lines", byLines)
	writeRanking(out, "Packages with most functions", byFunctions)
	writeRanking(out, "Most used identifiers", identifiers)
	writeRanking(out, "Packages imported by most others", imported)
	return out.Flush()
}

func writeRanking(w io.Writer, title string, numbers map[string]int) {
	names := make([]string, 0, len(numbers))
	for name := range numbers {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(numbers[b], numbers[a]), cmp.Compare(a, b))
	})
	fmt.Fprintf(w, "\n%s\n", title)
	for i, name := range names[:min(top, len(names))] {
		fmt.Fprintf(w, "%4d. %8d  %s\n", i+1, numbers[name], name)
	}
}
