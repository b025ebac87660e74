// Package index joins the pages of a crawl: which page links to which, how far each is from the start,
// which are the same, and which words are on which pages. Its report is the same for the same pages,
// in whatever order they came.
package index

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/examples/crawl/web"
)

// Index is what is known after a crawl. Make it with New.
type Index struct {
	pages []web.Page           // by address
	byURL map[string]*web.Page // into pages
	from  map[string][]string  // the pages that link to an address, by address
	depth map[string]int       // links from the nearest start
	twins map[string]string    // of a page with the content of another: the other, which is indexed
	words map[string]*word
}

// word is one entry of the index.
type word struct {
	text  string
	times int
	on    []*web.Page // most often first
}

// New builds the index of pages. It keeps the slice and sorts it.
func New(pages []web.Page) *Index {
	slices.SortFunc(pages, func(a, b web.Page) int { return cmp.Compare(a.URL, b.URL) })
	pages = slices.CompactFunc(pages, func(a, b web.Page) bool { return a.URL == b.URL })
	x := &Index{
		pages: pages,
		byURL: make(map[string]*web.Page, len(pages)),
		from:  map[string][]string{},
		depth: make(map[string]int, len(pages)),
		twins: map[string]string{},
		words: map[string]*word{},
	}
	for i := range pages {
		page := &pages[i]
		x.byURL[page.URL] = page
		for _, link := range page.Links {
			x.from[link.URL] = append(x.from[link.URL], page.URL)
		}
	}
	x.measure()
	x.findTwins()
	x.collectWords()
	return x
}

// measure walks from the start pages, nearest first. The way on which a page was really found may have
// been longer, and is not the same each time.
func (x *Index) measure() {
	var queue []string
	for _, page := range x.pages {
		if page.Start {
			x.depth[page.URL] = 0
			queue = append(queue, page.URL)
		}
	}
	for len(queue) > 0 {
		page := x.byURL[queue[0]]
		queue = queue[1:]
		for _, link := range page.Links {
			_, seen := x.depth[link.URL]
			if _, fetched := x.byURL[link.URL]; fetched && !seen {
				x.depth[link.URL] = x.depth[page.URL] + 1
				queue = append(queue, link.URL)
			}
		}
	}
}

// findTwins finds pages of equal content, as / and /index.html often are. The one nearest to the start
// counts, and of those the one with the shortest address.
func (x *Index) findTwins() {
	best := map[string]*web.Page{}
	rank := func(a, b *web.Page) int {
		return cmp.Or(cmp.Compare(x.depth[a.URL], x.depth[b.URL]),
			cmp.Compare(len(a.URL), len(b.URL)), cmp.Compare(a.URL, b.URL))
	}
	for i := range x.pages {
		page := &x.pages[i]
		if old := best[page.Digest]; page.Digest != "" && (old == nil || rank(page, old) < 0) {
			best[page.Digest] = page
		}
	}
	for _, page := range x.pages {
		if first := best[page.Digest]; first != nil && first.URL != page.URL {
			x.twins[page.URL] = first.URL
		}
	}
}

func (x *Index) collectWords() {
	for i := range x.pages {
		page := &x.pages[i]
		if x.twins[page.URL] != "" {
			continue
		}
		for text, times := range page.Words {
			entry := x.words[text]
			if entry == nil {
				entry = &word{text: text}
				x.words[text] = entry
			}
			entry.times += times
			entry.on = append(entry.on, page)
		}
	}
	for _, entry := range x.words {
		slices.SortFunc(entry.on, func(a, b *web.Page) int {
			return cmp.Or(cmp.Compare(b.Words[entry.text], a.Words[entry.text]), cmp.Compare(a.URL, b.URL))
		})
	}
}

// topWords are the n most used words.
func (x *Index) topWords(n int) []*word {
	words := slices.SortedFunc(maps.Values(x.words), func(a, b *word) int {
		return cmp.Or(cmp.Compare(b.times, a.times), cmp.Compare(a.text, b.text))
	})
	return words[:min(n, len(words))]
}

// notFetched are the addresses that a page links to and the crawl should have gone to, but did not:
// it met a limit, or the job failed.
func (x *Index) notFetched() []string {
	var missing []string
	for address := range x.from {
		if x.byURL[address] == nil {
			missing = append(missing, address)
		}
	}
	slices.Sort(missing)
	return missing
}

// otherHosts says for each host that was not crawled how many different addresses lead there.
func (x *Index) otherHosts() map[string]int {
	addresses := map[string]bool{}
	for _, page := range x.pages {
		for _, address := range page.External {
			addresses[address] = true
		}
	}
	hosts := map[string]int{}
	for address := range addresses {
		hosts[web.Host(address)]++
	}
	return hosts
}

// origin is the scheme and host that all start pages share, "" if they do not.
func (x *Index) origin() string {
	origin := ""
	for _, page := range x.pages {
		if !page.Start {
			continue
		}
		scheme, _, _ := strings.Cut(page.URL, "://")
		this := scheme + "://" + web.Host(page.URL)
		if origin != "" && origin != this {
			return ""
		}
		origin = this
	}
	return origin
}
