package web

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits of what is read from a host.
const (
	MaxBody   = 2 << 20   // bytes of a page; the rest is not read, and the page says so
	maxRobots = 500 << 10 // bytes of a robots.txt
	maxWait   = 10 * time.Second
	attempts  = 3 // of a request to a host that is busy or breaks the connection
)

// Problems with a page's answer that are the same in every report.
const (
	ProblemTimeout = "timed out"
	ProblemCut     = "longer than 2 MiB, the rest was not read"
	ProblemRobots  = "disallowed by robots.txt"
	problemBroken  = "connection broken"
)

// userAgent names the crawler to the hosts it visits.
const userAgent = robotsName + "/1 (+https://github.com/geartrain/geartrain)"

// Request asks for one page. It is a job's argument, as JSON.
type Request struct {
	URL   string `json:"url"` // in normal form
	Depth int    `json:"depth"`
	Site  Site   `json:"site"`
}

// Fetcher fetches pages. It may be used by many goroutines; make it with NewFetcher.
type Fetcher struct {
	pages  *http.Client // does not follow redirects
	robots *http.Client

	mu    sync.Mutex               // guards hosts
	hosts map[string]func() Robots // of hosts that a Site knows nothing of; a call reads it once
}

// NewFetcher returns a Fetcher with connections of its own. Close it after use.
func NewFetcher() *Fetcher {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &Fetcher{
		pages: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		robots: &http.Client{Transport: transport},
		hosts:  map[string]func() Robots{},
	}
}

// Close ends the connections that are idle.
func (f *Fetcher) Close() { f.pages.CloseIdleConnections() }

// Fetch asks for one page and reads it. Whatever the host does is a fact about the page and no error:
// 404, a timeout, no host at all. Busy hosts and broken connections are tried again a few times. It
// fails for a request that makes no sense, and when ctx ends.
func (f *Fetcher) Fetch(ctx context.Context, r Request) (Page, error) {
	if address, err := url.Parse(r.URL); err != nil || address.Host == "" {
		return Page{}, fmt.Errorf("request for %q: %w", r.URL, ErrNotFollowed)
	}
	if !f.robotsOf(ctx, &r).Allows(r.URL) {
		page := newPage(&r)
		page.Problem = ProblemRobots
		return page, nil
	}
	for attempt := 1; ; attempt++ {
		page, wait := f.fetchOnce(ctx, &r)
		if ctx.Err() != nil {
			return Page{}, fmt.Errorf("fetch %s: %w", r.URL, context.Cause(ctx))
		}
		if wait == 0 || attempt == attempts {
			return page, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait * time.Duration(attempt)):
		}
	}
}

func newPage(r *Request) Page {
	return Page{URL: r.URL, Depth: r.Depth, Start: r.Site.isStart(r.URL)}
}

// fetchOnce makes one request. A wait says that the page is worth another attempt after so long.
func (f *Fetcher) fetchOnce(ctx context.Context, r *Request) (page Page, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, r.Site.Timeout.orDefault())
	defer cancel()
	page = newPage(r)
	response, err := get(ctx, f.pages, r.URL)
	if err != nil {
		page.Problem = problem(err)
		if page.Problem == problemBroken {
			wait = time.Second / 2
		}
		return page, wait
	}
	defer response.Body.Close()
	page.Status = response.StatusCode
	if isBusy(page.Status) {
		return page, retryAfter(response.Header)
	}
	if err := page.read(response, &r.Site); err != nil {
		page = newPage(r) // what came of it would be another part each time
		page.Status, page.Problem = response.StatusCode, problem(err)
	}
	return page, 0
}

// read takes what is of interest out of a response.
func (p *Page) read(response *http.Response, site *Site) error {
	address := response.Request.URL
	if p.isRedirect() {
		p.addLinks(site, address, response.Header["Location"])
		return nil
	}
	sum := sha256.New()
	limited := &io.LimitedReader{R: response.Body, N: MaxBody + 1}
	body := bufio.NewReader(io.TeeReader(limited, sum))
	contentType := response.Header.Get("Content-Type")
	if contentType == "" {
		start, _ := body.Peek(512) // a short body is no error
		contentType, _, _ = strings.Cut(http.DetectContentType(start), ";")
	}
	if p.Type, _, _ = mime.ParseMediaType(contentType); !p.IsHTML() {
		p.Bytes = max(response.ContentLength, 0)
		return nil
	}
	doc, err := readDocument(body, contentType)
	if err != nil {
		return err
	}
	if p.Bytes = MaxBody + 1 - limited.N; p.Bytes > MaxBody {
		p.Bytes, p.Problem = MaxBody, ProblemCut
	}
	p.Digest = hex.EncodeToString(sum.Sum(nil)[:16])
	p.Title, p.Words = doc.title, doc.topWords(MaxWords)
	base, err := url.Parse(clean(doc.base))
	if err != nil {
		base = &url.URL{} // as if there were none
	}
	p.addLinks(site, address.ResolveReference(base), doc.hrefs)
	return nil
}

func get(ctx context.Context, client *http.Client, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.1")
	return client.Do(request)
}

// robotsOf are the rules for a request's host. A host that the site was not opened with is asked once
// in a Fetcher's life.
func (f *Fetcher) robotsOf(ctx context.Context, r *Request) Robots {
	host := Host(r.URL)
	if rules, ok := r.Site.Robots[host]; ok {
		return rules
	}
	f.mu.Lock()
	read := f.hosts[host]
	if read == nil {
		ctx := context.WithoutCancel(ctx) // others may be waiting for the answer
		read = sync.OnceValue(func() Robots {
			rules, _ := f.fetchRobots(ctx, r.URL, r.Site.Timeout)
			return rules
		})
		f.hosts[host] = read
	}
	f.mu.Unlock()
	return read()
}

// fetchRobots reads the robots.txt of an address's host, and says which host it really came from. As
// RFC 9309 has it: no such file allows everything, a server in trouble nothing. A host that does not
// answer has no rules.
func (f *Fetcher) fetchRobots(ctx context.Context, address string, timeout Duration) (rules Robots, host string) {
	ctx, cancel := context.WithTimeout(ctx, timeout.orDefault())
	defer cancel()
	scheme, _, _ := strings.Cut(address, ":")
	host = Host(address)
	response, err := get(ctx, f.robots, scheme+"://"+host+"/robots.txt")
	if err != nil {
		return nil, host
	}
	defer response.Body.Close()
	if final, err := Normalize(response.Request.URL.String()); err == nil {
		host = Host(final)
	}
	switch {
	case response.StatusCode/100 == 5:
		return Robots{{Path: "/"}}, host
	case response.StatusCode != http.StatusOK:
		return nil, host
	}
	return parseRobots(io.LimitReader(response.Body, maxRobots)), host
}

func isBusy(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter is how long a busy host asks to be left alone, within reason.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 1 {
		return time.Second
	}
	return min(time.Duration(seconds)*time.Second, maxWait)
}

// problem says in a few words, the same for every address, why there is no whole answer.
func problem(err error) string {
	var dns *net.DNSError
	var network net.Error
	var outer *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return ProblemTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &dns):
		return "no such host"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return problemBroken
	case errors.As(err, &outer):
		return shorten(outer.Err.Error())
	default:
		return shorten(err.Error())
	}
}
