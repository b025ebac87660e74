package web

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Site is what a crawl was told, and what was found out before it began. It travels with every
// request, so that any worker can do the work.
type Site struct {
	Start   []Target          `json:"start"`            // in normal form, at depth 0
	Follow  bool              `json:"follow,omitempty"` // to other hosts too
	Timeout Duration          `json:"timeout"`          // of one request, with its body
	Robots  map[string]Robots `json:"robots,omitempty"` // by host, of the start hosts
}

// Target is an address to fetch: where it was found is Depth links away from the start.
type Target struct {
	URL   string `json:"url"`
	Depth int    `json:"depth"`
}

// Duration is a time.Duration that is "10s" in JSON.
type Duration time.Duration

// MarshalText writes the form of time.Duration's String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads. It must be more than zero.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err == nil && parsed <= 0 {
		err = fmt.Errorf("%q is no time to wait", text)
	}
	*d = Duration(parsed)
	return err
}

// orDefault is DefaultTimeout where nothing was said.
func (d Duration) orDefault() time.Duration { return cmp.Or(time.Duration(d), DefaultTimeout) }

// Opening is what a crawl is asked for.
type Opening struct {
	Start   []string `json:"start"` // addresses as a person types them
	Follow  bool     `json:"follow,omitempty"`
	Timeout Duration `json:"timeout"` // zero: DefaultTimeout
}

// DefaultTimeout is how long a page may take where nothing else is said.
const DefaultTimeout = 10 * time.Second

// Open puts the start addresses into normal form, each once, and reads the robots.txt of their hosts,
// one request for each host. A host that does not answer is no error here: its pages will tell.
func (f *Fetcher) Open(ctx context.Context, o Opening) (Site, error) {
	site := Site{Follow: o.Follow, Timeout: Duration(o.Timeout.orDefault()), Robots: map[string]Robots{}}
	for _, address := range o.Start {
		url, err := Normalize(address)
		if err != nil {
			return Site{}, fmt.Errorf("start address %q: %w", address, err)
		}
		if target := (Target{URL: url}); !slices.Contains(site.Start, target) {
			site.Start = append(site.Start, target)
		}
	}
	if len(site.Start) == 0 {
		return Site{}, fmt.Errorf("no start address")
	}
	for _, target := range site.Start {
		host := Host(target.URL)
		if _, known := site.Robots[host]; known {
			continue
		}
		rules, from := f.fetchRobots(ctx, target.URL, site.Timeout)
		site.Robots[host] = rules
		site.Robots[from] = rules // the pages will be there too
	}
	return site, ctx.Err()
}

// isStart reports whether address is one of the start addresses.
func (s *Site) isStart(address string) bool {
	return slices.ContainsFunc(s.Start, func(t Target) bool { return t.URL == address })
}

// follows reports whether a crawl goes on from a page to an address it links to: to the same host and
// to the hosts of the start. Where a start address redirects to, it goes always, because that is where
// the site really is.
func (s *Site) follows(page *Page, address string) bool {
	host := Host(address)
	return s.Follow || host == Host(page.URL) || page.Start && page.isRedirect() ||
		slices.ContainsFunc(s.Start, func(t Target) bool { return Host(t.URL) == host })
}
