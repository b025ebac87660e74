package index

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/examples/crawl/web"
)

const base = "http://example.org"

func links(paths ...string) []web.Link {
	var links []web.Link
	for _, path := range paths {
		links = append(links, web.Link{URL: base + path})
	}
	return links
}

func page(path, title string, words map[string]int, to ...string) web.Page {
	return web.Page{
		URL: base + path, Status: 200, Type: "text/html", Title: title, Digest: "of " + title,
		Words: words, Links: links(to...),
	}
}

func samplePages() []web.Page {
	start := page("/", "Home", map[string]int{"gear": 2, "wheel": 1}, "/a", "/old", "/lost", "/file.pdf", "/private", "/later")
	start.Start = true
	start.External = []string{"http://elsewhere.example/x", "http://elsewhere.example/y", "http://other.example/"}
	return []web.Page{
		start,
		page("/a", "A", map[string]int{"gear": 3}, "/b", "/lost", "/index.html"),
		page("/b", "B", map[string]int{"gear": 1}, "/"),
		page("/index.html", "Home", map[string]int{"gear": 2, "wheel": 1}, "/a"),
		{URL: base + "/old", Status: 301, Links: links("/b")},
		{URL: base + "/lost", Status: 404, Type: "text/plain"},
		{URL: base + "/file.pdf", Status: 200, Type: "application/pdf", Bytes: 123},
		{URL: base + "/private", Problem: web.ProblemRobots},
		{URL: base + "/slow", Problem: web.ProblemTimeout},
		{URL: base + "/gone", Status: 302, External: []string{"http://other.example/"}},
	}
}

const sampleReport = `Crawl of http://example.org/
10 addresses, 4 HTML pages, 1 of them with the content of another, at most 2 links from the start

Answers
     5  200 OK
     1  301 Moved Permanently
     1  302 Found
     1  404 Not Found
     1  disallowed by robots.txt
     1  timed out

Pages (links from the start, pages that link here, links, words, address, title)
  0     1     9      3  /  Home
  1     2     3      3  /a  A
  2     2     1      1  /b  B

Other files (pages that link here, bytes, address, type)
        1      123  /file.pdf  application/pdf

Redirects
  /gone -> http://other.example/
  /old -> /b

Broken links
  /lost  404 Not Found
      linked from / /a
  /slow  timed out

Not read, or not to the end
  /private  disallowed by robots.txt

Same content
  /index.html is /

Other hosts (addresses that lead there)
     2  elsewhere.example
     1  other.example

Found, but not fetched
  /later

Words (times, pages, word, where most)
     6     3  gear              /a / /b
     1     1  wheel             /
`

func writeReport(t *testing.T, pages []web.Page) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, New(pages).WriteReport(&b))
	return b.String()
}

func TestReport(t *testing.T) {
	t.Parallel()
	pages := samplePages()
	for range 20 {
		rand.Shuffle(len(pages), func(i, j int) { pages[i], pages[j] = pages[j], pages[i] })
		require.Equal(t, sampleReport, writeReport(t, pages))
	}
}

func TestReportSeveralHosts(t *testing.T) {
	t.Parallel()
	one := web.Page{URL: "http://one.example/", Start: true, Status: 200, Type: "text/html", Title: "One"}
	two := web.Page{URL: "http://two.example/", Start: true, Status: 299, Type: "text/html", Title: "Two"}
	text := writeReport(t, []web.Page{two, one})
	require.Contains(t, text, "Crawl of http://one.example/ http://two.example/\n")
	require.Contains(t, text, "  http://two.example/  Two\n")
	require.Contains(t, text, "     1  299\n")
}

func TestReportOfNothing(t *testing.T) {
	t.Parallel()
	require.True(t, strings.HasPrefix(writeReport(t, nil), "Crawl of \n0 addresses"))
}

func TestLongLists(t *testing.T) {
	t.Parallel()
	pages := samplePages()
	var paths []string
	for i := range 30 {
		path := "/more/" + strings.Repeat("x", i)
		paths = append(paths, path)
		pages = append(pages, page(path, "More", map[string]int{"gear": 1}, "/lost"))
	}
	pages[1].Links = links(paths...)
	for i := range 25 {
		pages[2].Links = append(pages[2].Links, links("/limit/"+strings.Repeat("y", i))...)
	}
	text := writeReport(t, pages)
	require.Contains(t, text, "linked from / /more/ /more/x /more/xx /more/xxx and 26 more\n")
	require.Contains(t, text, "/limit/"+strings.Repeat("y", 18)+"\n")
	require.Contains(t, text, "  and 6 more\n")
}
