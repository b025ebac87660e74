// Command crawl fetches a site and writes a report on it: which pages there are, which links are broken,
// and which words are where. It finds pages while it fetches others, asks for each address once, and
// knows by itself when there are no more.
//
//	crawl URL...                     all by itself
//	crawl worker -S HOST:PORT        a worker at a job server, as many as you like
//	crawl -S HOST:PORT URL...        the crawl, done by such workers
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/geartrain/geartrain/examples/crawl/web"
	"github.com/geartrain/geartrain/examples/internal/jobserver"
	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "crawl:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	s := settings{rate: rate{10, time.Second}}
	timeout := web.DefaultTimeout
	flags := flag.NewFlagSet("crawl", flag.ExitOnError)
	servers := jobserver.Flag(flags)
	flags.IntVar(&s.depth, "depth", 32, "links to follow from the start")
	flags.IntVar(&s.pages, "max", 5000, "addresses to fetch")
	flags.Var(&s.rate, "rate", "requests to one host, as `5/s` or 100/m")
	flags.IntVar(&s.parallel, "parallel", 8, "requests at once")
	flags.DurationVar(&timeout, "timeout", timeout, "of one page")
	flags.BoolVar(&s.opening.Follow, "follow", false, "links to other hosts too")

	fetcher := web.NewFetcher()
	defer fetcher.Close()
	if len(args) > 0 && args[0] == "worker" {
		flags.Parse(args[1:]) // exits on an error
		return servers.Serve(ctx, register(fetcher))
	}
	flags.Parse(args)
	s.opening.Start, s.opening.Timeout = flags.Args(), web.Duration(timeout)
	if err := s.check(); err != nil {
		return err
	}
	site, err := fetcher.Open(ctx, s.opening)
	if err != nil {
		return err
	}
	return servers.Ask(ctx, register(fetcher), func(client *gearman.Client) error {
		report, err := crawl(ctx, client, site, s, log)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, report)
		return err
	})
}

func (s *settings) check() error {
	switch {
	case len(s.opening.Start) == 0:
		return errors.New("no address; try: crawl https://example.org/")
	case s.depth < 0 || s.pages < 1 || s.parallel < 1 || s.opening.Timeout <= 0:
		return errors.New("-max, -parallel and -timeout must be more than zero, and -depth not less")
	}
	return nil
}

// crawl runs the pipeline and says now and then how far it is.
func crawl(ctx context.Context, client *gearman.Client, site web.Site, s settings, log io.Writer) (string, error) {
	run, err := newPipeline(site, s).Start(ctx, &flow.Runner{Client: client}, flow.RunOptions{})
	if err != nil {
		return "", err
	}
	for _, target := range site.Start {
		if err := run.Send(ctx, web.Request{URL: target.URL, Site: site}); err != nil {
			break // the run has ended, and Wait says why
		}
	}
	run.CloseInput()
	ticks := time.NewTicker(2 * time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			fetch := run.Progress()[0]
			fmt.Fprintf(log, "%d of %d addresses fetched\n", fetch.Done, fetch.Added)
		case <-run.Done():
			return run.Wait()
		}
	}
}
