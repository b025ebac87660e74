package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newSite serves pages by path, and a Fetcher that closes with the test.
func newSite(t *testing.T, pages map[string]http.HandlerFunc) (*Fetcher, string) {
	t.Helper()
	mux := http.NewServeMux()
	for path, handler := range pages {
		mux.HandleFunc(path, handler)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	fetcher := NewFetcher()
	t.Cleanup(fetcher.Close)
	return fetcher, server.URL
}

func text(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // none, unless there is one
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		fmt.Fprint(w, body)
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func fetchPage(t *testing.T, f *Fetcher, base, path string, start ...string) Page {
	t.Helper()
	site := Site{Timeout: Duration(time.Minute), Robots: map[string]Robots{Host(base): {{Path: "/private/"}}}}
	for _, path := range start {
		site.Start = append(site.Start, Target{URL: base + path})
	}
	page, err := f.Fetch(t.Context(), Request{URL: base + path, Depth: 3, Site: site})
	require.NoError(t, err)
	require.Equal(t, base+path, page.URL)
	require.Equal(t, 3, page.Depth)
	return page
}

func TestFetchHTML(t *testing.T) {
	t.Parallel()
	body := `<title>One</title><a href="two.html#x">two</a><a href="two.html">two</a><a href="#self">self</a>
		<a href="mailto:a@b">mail</a><a href="http://elsewhere.example/">out</a><a href="../up">gear</a>`
	f, base := newSite(t, map[string]http.HandlerFunc{"/docs/one.html": text("text/html", body)})
	page := fetchPage(t, f, base, "/docs/one.html", "/docs/one.html")
	require.Equal(t, Page{
		URL: base + "/docs/one.html", Depth: 3, Start: true, Status: 200, Type: "text/html",
		Bytes: int64(len(body)), Digest: page.Digest, Title: "One",
		Words:    map[string]int{"self": 1, "mail": 1, "gear": 1},
		Links:    []Link{{base + "/docs/two.html"}, {base + "/up"}},
		External: []string{"http://elsewhere.example/"},
	}, page)
	require.Len(t, page.Digest, 32)
}

func TestFetchOtherTypes(t *testing.T) {
	t.Parallel()
	f, base := newSite(t, map[string]http.HandlerFunc{
		"/pdf":     text("application/pdf", `<a href="no">`),
		"/sniffed": text("", "<!doctype html><title>Sniffed</title>"),
		"/empty":   text("text/html", ""),
		"/base":    text("text/html", `<base href="/docs/"><a href="x">`),
		"/badbase": text("text/html", `<base href="http://[bad"><a href="x">`),
	})
	pdf := fetchPage(t, f, base, "/pdf")
	require.Equal(t, "application/pdf", pdf.Type)
	require.EqualValues(t, 13, pdf.Bytes)
	require.Empty(t, pdf.Links)
	require.False(t, pdf.IsHTML())
	require.Equal(t, "Sniffed", fetchPage(t, f, base, "/sniffed").Title)
	require.True(t, fetchPage(t, f, base, "/empty").IsHTML())
	require.Equal(t, []Link{{base + "/docs/x"}}, fetchPage(t, f, base, "/base").Links)
	require.Equal(t, []Link{{base + "/x"}}, fetchPage(t, f, base, "/badbase").Links)
}

func TestFetchStatuses(t *testing.T) {
	t.Parallel()
	f, base := newSite(t, map[string]http.HandlerFunc{
		"/here":      redirect("/there#part"),
		"/elsewhere": redirect("http://elsewhere.example/"),
		"/loop":      redirect("/loop"),
		"/private/":  text("text/html", "must not be asked for"),
	})
	missing := fetchPage(t, f, base, "/missing")
	require.Equal(t, http.StatusNotFound, missing.Status)
	require.Empty(t, missing.Problem)

	here := fetchPage(t, f, base, "/here")
	require.Equal(t, http.StatusFound, here.Status)
	require.Equal(t, []Link{{base + "/there"}}, here.Links)
	require.Equal(t, []string{"http://elsewhere.example/"}, fetchPage(t, f, base, "/elsewhere").External)
	start := fetchPage(t, f, base, "/elsewhere", "/elsewhere")
	require.Equal(t, []Link{{"http://elsewhere.example/"}}, start.Links, "where the start redirects to is the site")
	require.Empty(t, fetchPage(t, f, base, "/loop").Links)

	private := fetchPage(t, f, base, "/private/x")
	require.Equal(t, ProblemRobots, private.Problem)
	require.Zero(t, private.Status)
}

func TestFetchHuge(t *testing.T) {
	t.Parallel()
	body := `<a href="first">` + strings.Repeat("gears ", MaxBody/6) + `<a href="never">`
	f, base := newSite(t, map[string]http.HandlerFunc{"/huge": text("text/html", body)})
	page := fetchPage(t, f, base, "/huge")
	require.Equal(t, ProblemCut, page.Problem)
	require.EqualValues(t, MaxBody, page.Bytes)
	require.Equal(t, []Link{{base + "/first"}}, page.Links)
}

func TestFetchSlow(t *testing.T) {
	t.Parallel()
	f, base := newSite(t, map[string]http.HandlerFunc{
		"/slow": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"/slow/body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<a href="x">`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	})
	site := Site{Timeout: Duration(50 * time.Millisecond), Robots: map[string]Robots{Host(base): nil}}
	page, err := f.Fetch(t.Context(), Request{URL: base + "/slow", Site: site})
	require.NoError(t, err)
	require.Equal(t, Page{URL: base + "/slow", Problem: ProblemTimeout}, page)
	for page.Status == 0 { // a busy machine does not come as far as the body in that time
		site.Timeout *= 2
		page, err = f.Fetch(t.Context(), Request{URL: base + "/slow/body", Site: site})
		require.NoError(t, err)
		require.Equal(t, Page{URL: base + "/slow/body", Status: page.Status, Problem: ProblemTimeout}, page)
	}
	require.Equal(t, 200, page.Status)
}

func TestFetchTriesAgain(t *testing.T) {
	t.Parallel()
	var broken, busy atomic.Int32
	f, base := newSite(t, map[string]http.HandlerFunc{
		"/broken": func(w http.ResponseWriter, r *http.Request) {
			if broken.Add(1) == 1 {
				panic(http.ErrAbortHandler)
			}
			text("text/html", "fine")(w, r)
		},
		"/busy": func(w http.ResponseWriter, r *http.Request) {
			if busy.Add(1) == 1 {
				http.Error(w, "later", http.StatusTooManyRequests)
				return
			}
			text("text/html", "fine")(w, r)
		},
	})
	require.Equal(t, http.StatusOK, fetchPage(t, f, base, "/broken").Status)
	require.Equal(t, http.StatusOK, fetchPage(t, f, base, "/busy").Status)
	require.EqualValues(t, 2, broken.Load())
	require.EqualValues(t, 2, busy.Load())
}

func TestFetchNobodyThere(t *testing.T) {
	t.Parallel()
	f := NewFetcher()
	defer f.Close()
	const base = "http://127.0.0.1:1" // a port that is given to nobody, also not to a test beside this one
	require.Equal(t, "connection refused", fetchPage(t, f, base, "/").Problem)
}

func TestFetchErrors(t *testing.T) {
	t.Parallel()
	f, base := newSite(t, nil)
	_, err := f.Fetch(t.Context(), Request{URL: "nonsense"})
	require.ErrorIs(t, err, ErrNotFollowed)
	why := errors.New("the run was cancelled")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err = f.Fetch(ctx, Request{URL: base + "/"})
	require.ErrorIs(t, err, why)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	f, base := newSite(t, map[string]http.HandlerFunc{
		"/robots.txt": func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			fmt.Fprint(w, "User-agent: *\nDisallow: /private/\n")
		},
		"/page": text("text/html", "fine"),
	})
	site, err := f.Open(t.Context(), Opening{Start: []string{base, base + "/#top", base + "/x"}})
	require.NoError(t, err)
	require.Equal(t, Site{
		Start:   []Target{{URL: base + "/"}, {URL: base + "/x"}},
		Timeout: Duration(DefaultTimeout),
		Robots:  map[string]Robots{Host(base): {{Path: "/private/"}}},
	}, site)
	_, err = f.Fetch(t.Context(), Request{URL: base + "/page", Site: site})
	require.NoError(t, err)
	require.EqualValues(t, 1, asked.Load(), "the site's rules are known")
	for range 2 {
		_, err = f.Fetch(t.Context(), Request{URL: base + "/page", Site: Site{}})
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, asked.Load(), "another host's rules are read once")

	for _, start := range [][]string{nil, {"ftp://example.org/"}} {
		_, err = f.Open(t.Context(), Opening{Start: start})
		require.ErrorContains(t, err, "start address")
	}
}

func TestOpenRobotsElsewhere(t *testing.T) {
	t.Parallel()
	f, real := newSite(t, map[string]http.HandlerFunc{"/robots.txt": text("text/plain", "User-agent: *\nDisallow: /x\n")})
	_, alias := newSite(t, map[string]http.HandlerFunc{"/": redirect(real + "/robots.txt")})
	_, broken := newSite(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "ill", http.StatusInternalServerError)
	}})
	site, err := f.Open(t.Context(), Opening{Start: []string{alias, broken}})
	require.NoError(t, err)
	require.Equal(t, map[string]Robots{
		Host(alias): {{Path: "/x"}}, Host(real): {{Path: "/x"}}, Host(broken): {{Path: "/"}},
	}, site.Robots)
}

func TestSiteIsJSON(t *testing.T) {
	t.Parallel()
	var opening Opening
	require.NoError(t, json.Unmarshal([]byte(`{"start":["x"],"timeout":"1m30s"}`), &opening))
	require.Equal(t, Opening{Start: []string{"x"}, Timeout: Duration(90 * time.Second)}, opening)
	require.ErrorContains(t, json.Unmarshal([]byte(`{"timeout":"0s"}`), &opening), "no time to wait")
	require.Error(t, json.Unmarshal([]byte(`{"timeout":"soon"}`), &opening))
	encoded, err := json.Marshal(Site{Timeout: Duration(time.Second)})
	require.NoError(t, err)
	require.JSONEq(t, `{"start":null,"timeout":"1s"}`, string(encoded))
}
