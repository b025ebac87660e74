package index

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/examples/crawl/web"
)

// How long the lists of a report are.
const (
	topWords = 40
	wordOn   = 5  // pages named for a word
	linkedBy = 5  // pages named for a broken link
	left     = 20 // addresses named that were not fetched
)

// report writes one Index.
type report struct {
	*Index
	out     *bufio.Writer
	nearest string // the origin that is left out of addresses
}

// WriteReport writes the index as plain text.
func (x *Index) WriteReport(w io.Writer) error {
	r := &report{Index: x, out: bufio.NewWriter(w), nearest: x.origin()}
	r.summary()
	r.answers()
	r.pageList()
	r.redirects()
	r.broken()
	r.remarks()
	r.sameContent()
	r.elsewhere()
	r.missing()
	r.wordList()
	return r.out.Flush()
}

func (r *report) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

func (r *report) heading(title string) { r.printf("\n%s\n", title) }

// short is an address without the origin.
func (r *report) short(address string) string {
	if rest, ok := strings.CutPrefix(address, r.nearest); ok && strings.HasPrefix(rest, "/") {
		return rest
	}
	return address
}

// few are the first n addresses in one line.
func (r *report) few(addresses []string, n int) string {
	short := make([]string, 0, n+1)
	for _, address := range addresses[:min(n, len(addresses))] {
		short = append(short, r.short(address))
	}
	if more := len(addresses) - n; more > 0 {
		short = append(short, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(short, " ")
}

func (r *report) summary() {
	var starts []string
	html, deepest := 0, 0
	for _, page := range r.pages {
		if page.Start {
			starts = append(starts, page.URL)
		}
		if page.IsHTML() {
			html++
		}
		deepest = max(deepest, r.depth[page.URL])
	}
	r.printf("Crawl of %s\n", strings.Join(starts, " "))
	r.printf("%d addresses, %d HTML pages, %d of them with the content of another, at most %d links from the start\n",
		len(r.pages), html, len(r.twins), deepest)
}

func (r *report) answers() {
	counts := map[string]int{}
	for _, page := range r.pages {
		counts[answer(page)]++
	}
	r.heading("Answers")
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		r.printf("%6d  %s\n", counts[text], text)
	}
}

// answer is what a host said to a request, or why it said nothing.
func answer(page web.Page) string {
	if page.Status == 0 {
		return page.Problem
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", page.Status, http.StatusText(page.Status)))
}

func (r *report) pageList() {
	r.list("Pages (links from the start, pages that link here, links, words, address, title)", r.pageLine)
	r.list("Other files (pages that link here, bytes, address, type)", func(page web.Page) string {
		if page.Status/100 != 2 || page.IsHTML() {
			return ""
		}
		return fmt.Sprintf("%9d %8d  %s  %s", len(r.from[page.URL]), page.Bytes, r.short(page.URL), page.Type)
	})
}

func (r *report) pageLine(page web.Page) string {
	if !page.IsHTML() || r.twins[page.URL] != "" {
		return ""
	}
	words := 0
	for _, times := range page.Words {
		words += times
	}
	line := fmt.Sprintf("%3d %5d %5d %6d  %s  %s", r.depth[page.URL], len(r.from[page.URL]),
		len(page.Links)+len(page.External), words, r.short(page.URL), page.Title)
	return strings.TrimRight(line, " ")
}

// list writes a line for each page that has one, and no title when none has.
func (r *report) list(title string, line func(web.Page) string) {
	for _, page := range r.pages {
		text := line(page)
		if text == "" {
			continue
		}
		if title != "" {
			r.heading(title)
			title = ""
		}
		r.printf("%s\n", text)
	}
}

func (r *report) redirects() {
	r.list("Redirects", func(page web.Page) string {
		if page.Status/100 != 3 {
			return ""
		}
		target := "nowhere"
		if len(page.Links) > 0 {
			target = r.short(page.Links[0].URL)
		} else if len(page.External) > 0 {
			target = page.External[0]
		}
		return fmt.Sprintf("  %s -> %s", r.short(page.URL), target)
	})
}

func (r *report) broken() {
	r.list("Broken links", func(page web.Page) string {
		if page.Status/100 == 2 || page.Status/100 == 3 || page.Problem == web.ProblemRobots {
			return ""
		}
		line := fmt.Sprintf("  %s  %s", r.short(page.URL), answer(page))
		if by := r.from[page.URL]; len(by) > 0 {
			line += "\n      linked from " + r.few(by, linkedBy)
		}
		return line
	})
}

func (r *report) remarks() {
	r.list("Not read, or not to the end", func(page web.Page) string {
		if page.Problem == "" || page.Status == 0 && page.Problem != web.ProblemRobots {
			return ""
		}
		return fmt.Sprintf("  %s  %s", r.short(page.URL), page.Problem)
	})
}

func (r *report) sameContent() {
	r.list("Same content", func(page web.Page) string {
		if r.twins[page.URL] == "" {
			return ""
		}
		return fmt.Sprintf("  %s is %s", r.short(page.URL), r.short(r.twins[page.URL]))
	})
}

func (r *report) elsewhere() {
	hosts := r.otherHosts()
	if len(hosts) == 0 {
		return
	}
	r.heading("Other hosts (addresses that lead there)")
	names := slices.SortedFunc(maps.Keys(hosts), func(a, b string) int {
		return cmp.Or(cmp.Compare(hosts[b], hosts[a]), cmp.Compare(a, b))
	})
	for _, name := range names {
		r.printf("%6d  %s\n", hosts[name], name)
	}
}

func (r *report) missing() {
	addresses := r.notFetched()
	if len(addresses) == 0 {
		return
	}
	r.heading("Found, but not fetched")
	for _, address := range addresses[:min(left, len(addresses))] {
		r.printf("  %s\n", r.short(address))
	}
	if more := len(addresses) - left; more > 0 {
		r.printf("  and %d more\n", more)
	}
}

func (r *report) wordList() {
	words := r.topWords(topWords)
	if len(words) == 0 {
		return
	}
	r.heading("Words (times, pages, word, where most)")
	for _, word := range words {
		on := make([]string, len(word.on))
		for i, page := range word.on {
			on[i] = page.URL
		}
		r.printf("%6d %5d  %-16s  %s\n", word.times, len(on), word.text, r.few(on, wordOn))
	}
}
