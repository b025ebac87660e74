// Command job is one job of crawl.yaml: it reads its arguments from standard input and writes its
// result to standard output. It does what the functions of the Go program do.
//
//	job open    the start addresses ──► the site: start addresses in normal form, rules of robots.txt
//	job fetch   one address         ──► the page: status, title, words, links
//	job index   all pages           ──► the report, as text
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/geartrain/geartrain/examples/crawl/index"
	"github.com/geartrain/geartrain/examples/crawl/web"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "job:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	fetcher := web.NewFetcher()
	defer fetcher.Close()
	name := ""
	if len(args) == 1 {
		name = args[0]
	}
	switch name {
	case "open":
		return answer(ctx, in, out, fetcher.Open)
	case "fetch":
		return answer(ctx, in, out, fetcher.Fetch)
	case "index":
		var pages []web.Page
		if err := read(in, &pages); err != nil {
			return err
		}
		return index.New(pages).WriteReport(out)
	default:
		return fmt.Errorf("want one of open, fetch and index, got %q", args)
	}
}

// answer gives f the arguments and writes its result as JSON.
func answer[In, Out any](ctx context.Context, in io.Reader, out io.Writer, f func(context.Context, In) (Out, error)) error {
	var arguments In
	if err := read(in, &arguments); err != nil {
		return err
	}
	result, err := f(ctx, arguments)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result)
}

func read(in io.Reader, v any) error {
	if err := json.NewDecoder(in).Decode(v); err != nil {
		return fmt.Errorf("read arguments: %w", err)
	}
	return nil
}
