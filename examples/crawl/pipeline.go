package main

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/geartrain/geartrain/examples/crawl/index"
	"github.com/geartrain/geartrain/examples/crawl/web"
	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
)

// settings are what a person can change about a crawl.
type settings struct {
	opening  web.Opening
	depth    int  // links to follow from the start
	pages    int  // addresses to fetch
	rate     rate // of requests to one host
	parallel int  // requests at once
}

// fetchFunc and indexFunc are the work: declared here, asked for by the pipeline, done by register's
// handlers.
func fetchFunc() gearman.Func[web.Request, web.Page] {
	return gearman.NewFunc[web.Request, web.Page]("crawl.fetch")
}

func indexFunc() gearman.Func[[]web.Page, string] {
	return gearman.NewFunc[[]web.Page, string]("crawl.index")
}

// newPipeline is the crawl of one site: a stage that feeds itself until nothing is queued or running,
// and behind the barrier one job that has all pages.
func newPipeline(site web.Site, s settings) *flow.Pipeline[web.Request, string] {
	links := func(page web.Page) iter.Seq[web.Request] {
		return func(yield func(web.Request) bool) {
			if page.Depth >= s.depth {
				return
			}
			for _, link := range page.Links {
				if !yield(web.Request{URL: link.URL, Depth: page.Depth + 1, Site: site}) {
					return
				}
			}
		}
	}
	return flow.Define("crawl", func(start flow.Stream[web.Request]) flow.Single[string] {
		pages := flow.Recurse(start, fetchFunc(), links,
			flow.Key("${{ item.url }}"), // the same address is the same work, whatever way leads there
			flow.MaxItems(s.pages),
			flow.RateLimitPer(s.rate.limit, s.rate.every, "${{ host(item.url) }}"),
			flow.MaxParallel(s.parallel),
			flow.Timeout(2*time.Minute),
			flow.Retry(gearman.Retry{Attempts: 3, Delay: time.Second, On: []gearman.Reason{gearman.TimedOut, gearman.Lost}}),
			flow.AllowAllFailures()) // what a host does is in the pages; these are jobs that died
		return flow.Reduce(pages, indexFunc(), flow.Timeout(10*time.Minute))
	})
}

// register is the worker's side.
func register(fetcher *web.Fetcher) func(*gearman.Worker) {
	return func(w *gearman.Worker) {
		fetchFunc().Handle(w, fetcher.Fetch)
		indexFunc().Handle(w, func(_ context.Context, pages []web.Page) (string, error) {
			var report strings.Builder
			err := index.New(pages).WriteReport(&report)
			return report.String(), err
		})
	}
}

// rate is so many in a time. Its text is 5/s, 100/m or 1/2s.
type rate struct {
	limit int
	every time.Duration
}

func (r *rate) String() string {
	if r.every == time.Second {
		return fmt.Sprintf("%d/s", r.limit)
	}
	return fmt.Sprintf("%d/%s", r.limit, r.every)
}

// Set is for package flag.
func (r *rate) Set(text string) error {
	count, unit, _ := strings.Cut(text, "/")
	limit, err := strconv.Atoi(count)
	if unit != "" && (unit[0] < '0' || unit[0] > '9') {
		unit = "1" + unit
	}
	every, unitErr := time.ParseDuration(unit)
	if err != nil || unitErr != nil || limit < 1 || every <= 0 {
		return fmt.Errorf("%q is not a rate such as 5/s", text)
	}
	*r = rate{limit, every}
	return nil
}
