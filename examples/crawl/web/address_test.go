package web

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ address, want string }{
		{"http://example.org", "http://example.org/"},
		{"example.org/docs", "http://example.org/docs"},
		{"localhost:8080", "http://localhost:8080/"},
		{"HTTP://Example.ORG:80/A", "http://example.org/A"},
		{"https://example.org:443/", "https://example.org/"},
		{"https://example.org:80/", "https://example.org:80/"},
		{"http://example.org./", "http://example.org/"},
		{"http://user:secret@example.org/", "http://example.org/"},
		{"http://example.org/a#top", "http://example.org/a"},
		{"http://example.org/#/route", "http://example.org/"},
		{"http://example.org?b=2&a=1", "http://example.org/?b=2&a=1"},
		{"http://example.org/?", "http://example.org/"},
		{"http://example.org/a/../b/./c/", "http://example.org/b/c/"},
		{"http://example.org/a/%2E%2e/b", "http://example.org/b"},
		{"http://example.org/a/..", "http://example.org/"},
		{"http://example.org/../../x", "http://example.org/x"},
		{"http://example.org/a//b/../c", "http://example.org/a//c"},
		{"http://example.org/.hidden", "http://example.org/.hidden"},
		{"http://example.org/%7euser/%e4", "http://example.org/~user/%E4"},
		{"http://example.org/a b", "http://example.org/a%20b"},
		{"http://example.org/a%2Fb", "http://example.org/a%2Fb"},
		{"http://example.org/100%25", "http://example.org/100%25"},
		{"http://example.org/über", "http://example.org/%C3%BCber"},
		{"http://example.org/?q=a b&r=%7e", "http://example.org/?q=a%20b&r=~"},
		{"http://Bücher.example/", "http://xn--bcher-kva.example/"},
		{"http://some_host.example/", "http://some_host.example/"},
		{"http://[::1]:8080/x", "http://[::1]:8080/x"},
		{"  http://example.org/a\n/b ", "http://example.org/a/b"},
		{`http://example.org\a\b?c\d`, `http://example.org/a/b?c\d`},
	} {
		got, err := Normalize(tt.address)
		require.NoError(t, err, tt.address)
		require.Equal(t, tt.want, got, tt.address)
		again, err := Normalize(got)
		require.NoError(t, err)
		require.Equal(t, got, again, "the normal form is its own normal form")
	}
}

func TestNormalizeRefuses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "http://", "ftp://example.org/", "file:///etc/passwd", "http://a b/", "http://example.org:port/",
		"http://example.org/" + strings.Repeat("a", MaxAddress),
	} {
		_, err := Normalize(address)
		require.ErrorIs(t, err, ErrNotFollowed, address)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	base, err := url.Parse("http://example.org/docs/guide/start.html?page=1")
	require.NoError(t, err)
	for _, tt := range []struct{ href, want string }{
		{"next.html", "http://example.org/docs/guide/next.html"},
		{"../", "http://example.org/docs/"},
		{"/", "http://example.org/"},
		{"//cdn.example.org/x", "http://cdn.example.org/x"},
		{"?page=2", "http://example.org/docs/guide/start.html?page=2"},
		{"#part", "http://example.org/docs/guide/start.html?page=1"},
		{"", "http://example.org/docs/guide/start.html?page=1"},
		{"./a:b", "http://example.org/docs/guide/a:b"},
		{"https:/x", ""},
		{"100%", "http://example.org/docs/guide/100%25"},
		{"a%zz", "http://example.org/docs/guide/a%25zz"},
		{"\n  spaced name.html\t", "http://example.org/docs/guide/spaced%20name.html"},
		{`..\up.html`, "http://example.org/docs/up.html"},
		{"../../../../x", "http://example.org/x"},
		{"mailto:someone@example.org", ""},
		{"javascript:void(0)", ""},
		{"JavaScript:alert('a/b')", ""},
		{"tel:+123", ""},
		{"data:text/html,x", ""},
		{"http://", ""},
		{"x" + strings.Repeat("/x", MaxAddress), ""},
	} {
		got, err := Resolve(base, tt.href)
		if tt.want == "" {
			require.ErrorIs(t, err, ErrNotFollowed, "%q gave %q", tt.href, got)
			continue
		}
		require.NoError(t, err, tt.href)
		require.Equal(t, tt.want, got, tt.href)
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	require.Equal(t, "example.org:8080", Host("http://example.org:8080/a/b?c"))
	require.Equal(t, "example.org", Host("https://example.org/"))
}

func FuzzResolve(f *testing.F) {
	for _, href := range []string{"a/../b", "//x", "?q=%", "http://ü/%2e%2e/", "http://[::1]:1/", "%2f..%2f"} {
		f.Add(href)
	}
	base, err := url.Parse("http://example.org/docs/")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, href string) {
		once, err := Resolve(base, href)
		if err != nil {
			require.ErrorIs(t, err, ErrNotFollowed)
			return
		}
		twice, err := Normalize(once)
		require.NoError(t, err)
		require.Equal(t, once, twice)
	})
}
