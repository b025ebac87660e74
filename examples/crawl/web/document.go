package web

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
)

// document is what is read out of HTML.
type document struct {
	title string
	base  string   // the first <base href>
	hrefs []string // as they stand in the page
	words map[string]int
	skip  atom.Atom // the element whose text is not for people
	head  bool      // inside <title>
}

// readDocument reads HTML as broken as it may be, in the encoding that contentType or the text itself
// names: it looks at one tag after the other and builds no tree. Its error is the reader's.
func readDocument(r io.Reader, contentType string) (*document, error) {
	d := &document{words: map[string]int{}}
	text, err := charset.NewReader(r, contentType)
	if err == io.EOF {
		return d, nil // empty
	}
	if err != nil {
		return nil, fmt.Errorf("read HTML: %w", err)
	}
	tokens := html.NewTokenizer(text)
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if err := tokens.Err(); err != io.EOF {
				return nil, fmt.Errorf("read HTML: %w", err)
			}
			return d, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			d.open(tokens.Token())
		case html.EndTagToken:
			d.close(tokens.Token())
		case html.TextToken:
			d.text(string(tokens.Text()))
		}
	}
}

func (d *document) open(t html.Token) {
	switch t.DataAtom {
	case atom.A, atom.Area:
		d.addHref(attribute(t, "href"))
	case atom.Frame, atom.Iframe:
		d.addHref(attribute(t, "src"))
	case atom.Meta:
		if content, ok := attribute(t, "content"); ok && isRefresh(t) {
			d.addHref(refreshTarget(content))
		}
	case atom.Base:
		if href, ok := attribute(t, "href"); ok && d.base == "" {
			d.base = href
		}
	case atom.Title:
		d.head = t.Type == html.StartTagToken
	case atom.Script, atom.Style:
		if t.Type == html.StartTagToken {
			d.skip = t.DataAtom
		}
	}
}

func (d *document) close(t html.Token) {
	switch t.DataAtom {
	case atom.Title:
		d.head = false
	case d.skip:
		d.skip = 0
	}
}

func (d *document) text(s string) {
	if d.skip != 0 {
		return
	}
	if d.head && d.title == "" {
		d.title = shorten(strings.Join(strings.Fields(s), " "))
	}
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) }) {
		if n := utf8.RuneCountInString(word); n >= minWord && n <= maxWord {
			d.words[strings.ToLower(word)]++
		}
	}
}

// Words shorter than this say little about a page, and longer ones are no words.
const (
	minWord = 4
	maxWord = 40
)

func (d *document) addHref(href string, ok bool) {
	if ok {
		d.hrefs = append(d.hrefs, href)
	}
}

// topWords are the most frequent words, at most n of them.
func (d *document) topWords(n int) map[string]int {
	if len(d.words) <= n {
		return d.words
	}
	words := slices.SortedFunc(maps.Keys(d.words), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.words[b], d.words[a]), cmp.Compare(a, b))
	})
	for _, word := range words[n:] {
		delete(d.words, word)
	}
	return d.words
}

func attribute(t html.Token, name string) (string, bool) {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func isRefresh(t html.Token) bool {
	value, _ := attribute(t, "http-equiv")
	return strings.EqualFold(value, "refresh")
}

// refreshTarget is the address in `0; url=next.html`.
func refreshTarget(content string) (string, bool) {
	_, rest, _ := strings.Cut(content, ";")
	name, target, found := strings.Cut(rest, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(name), "url") {
		return "", false
	}
	return strings.Trim(strings.TrimSpace(target), `"'`), true
}

// shorten cuts s to maxTitle bytes, not inside a rune, and drops what is not UTF-8 or not printable.
func shorten(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if len(s) <= maxTitle {
		return s
	}
	return strings.ToValidUTF8(s[:maxTitle], "") + "..."
}
