package web

import "net/url"

// Page is what is kept of one address: facts, never its text, so that thousands of pages fit into the
// one job that indexes them. It is a job's result, as JSON.
type Page struct {
	URL      string         `json:"url"`
	Depth    int            `json:"depth"` // as in the request
	Start    bool           `json:"start,omitempty"`
	Status   int            `json:"status"`            // of HTTP; 0: no answer
	Problem  string         `json:"problem,omitempty"` // why there is no answer, or not all of it
	Type     string         `json:"type,omitempty"`    // media type; the links and words are of HTML only
	Bytes    int64          `json:"bytes"`             // that were read, or announced if the type is not HTML
	Digest   string         `json:"digest,omitempty"`  // of the bytes read: equal for equal pages
	Title    string         `json:"title,omitempty"`
	Words    map[string]int `json:"words,omitempty"`    // the MaxWords most frequent
	Links    []Link         `json:"links,omitempty"`    // to follow, in the page's order, each once
	External []string       `json:"external,omitempty"` // the other ones
}

// Link is an address that a page links or redirects to, in normal form.
type Link struct {
	URL string `json:"url"`
}

// Limits of what is kept of a page. Only a very strange page reaches them.
const (
	MaxWords = 500
	MaxLinks = 10_000
	maxTitle = 200 // bytes; of a problem too
)

// IsHTML reports whether the page is one whose words and links were read.
func (p Page) IsHTML() bool {
	return p.Status/100 == 2 && (p.Type == "text/html" || p.Type == "application/xhtml+xml")
}

func (p Page) isRedirect() bool { return p.Status/100 == 3 }

// addLinks resolves each href against base and keeps the new ones.
func (p *Page) addLinks(site *Site, base *url.URL, hrefs []string) {
	seen := map[string]bool{p.URL: true}
	for _, href := range hrefs {
		address, err := Resolve(base, href)
		if err != nil || seen[address] || len(seen) > MaxLinks {
			continue // mailto:, javascript: and the like are not for us
		}
		seen[address] = true
		if site.follows(p, address) {
			p.Links = append(p.Links, Link{address})
		} else {
			p.External = append(p.External, address)
		}
	}
}
