package site

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSite(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(New(os.DirFS("../../../testdata/site")))
	t.Cleanup(server.Close)
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for path, want := range map[string]struct {
		status            int
		contentType, goes string
	}{
		"/":                       {200, "text/html", ""},
		"/history/clocks.html":    {200, "text/html", ""},
		"/files/teeth.json":       {200, "application/json", ""},
		"/gears/spur":             {301, "", "spur/"},
		"/gears/index.html":       {301, "text/html", "./"},
		"/gears/two%20words.html": {200, "text/html", ""},
		"/gears/hypoid.html":      {404, "text/plain; charset=utf-8", ""},
		"/moved":                  {301, "text/html; charset=utf-8", "/redirect"},
		"/loop/back":              {302, "text/html; charset=utf-8", "/loop"},
	} {
		response, err := client.Get(server.URL + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want.status, response.StatusCode, path)
		require.Equal(t, want.contentType, response.Header.Get("Content-Type"), path)
		require.Equal(t, want.goes, response.Header.Get("Location"), path)
	}
}

func TestSlowAndHuge(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(New(os.DirFS("../../../testdata/site")))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/slow", nil)
	require.NoError(t, err)
	_, err = server.Client().Do(request)
	require.True(t, errors.Is(err, context.DeadlineExceeded), "%v", err)

	response, err := server.Client().Get(server.URL + "/huge")
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, response.Body, 5<<20)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}
