// Package site serves a folder of pages as real sites behave, for the crawl example to visit: beside
// the files there are pages that moved, a circle of redirects, a page that never comes and one that
// never ends.
package site

import (
	"io"
	"io/fs"
	"net/http"
	"strings"
)

// New serves pages, and
//
//	/moved     301 to /redirect
//	/redirect  302 to /gears/spur/
//	/loop      302 to /loop/back, which redirects to /loop
//	/slow      nothing, until the client goes away
//	/huge      HTML without an end
//
// Pages say which encoding they have, as the server does not.
func New(pages fs.FS) http.Handler {
	mux := http.NewServeMux()
	files := http.FileServerFS(pages)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") || strings.HasSuffix(r.URL.Path, ".html") {
			w.Header().Set("Content-Type", "text/html")
		}
		files.ServeHTTP(w, r)
	})
	mux.Handle("/moved", http.RedirectHandler("/redirect", http.StatusMovedPermanently))
	mux.Handle("/redirect", http.RedirectHandler("/gears/spur/#teeth", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop/back", http.StatusFound))
	mux.Handle("/loop/back", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/huge", huge)
	return mux
}

// huge writes until the client has had enough.
func huge(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := io.WriteString(w, "<!doctype html>\n<title>A page without an end</title>\n<a href=\"/\">Home</a>\n")
	turn := strings.Repeat("and so on ", 1<<10) + "\n"
	for err == nil {
		_, err = io.WriteString(w, turn)
	}
}
