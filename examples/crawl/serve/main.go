// Command serve serves the bundled site of testdata/site, for people who want to try the crawl example
// without a network:
//
//	go run ./examples/crawl/serve
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/geartrain/geartrain/examples/crawl/site"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address to listen on")
	dir := flag.String("dir", filepath.Join("testdata", "site"), "folder to serve")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, *listen, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, listen, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "index.html")); err != nil {
		return fmt.Errorf("%w; start from the repository's folder, or say where the site is with -dir", err)
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/\n", listener.Addr())
	server := &http.Server{Handler: site.New(os.DirFS(dir))}
	stop := context.AfterFunc(ctx, func() { server.Close() }) // a page that never comes is not waited for
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
