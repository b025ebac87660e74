package web

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRobots(t *testing.T) {
	t.Parallel()
	rules := parseRobots(strings.NewReader("\ufeff" + `# for everybody
User-agent: *
Disallow: /private/   # keep out
Allow: /private/open.html
disallow: /*.cgi$
Disallow: /a*b*c
Disallow:
Crawl-delay: 10
nonsense

User-agent: Other
Disallow: /
`))
	for address, want := range map[string]bool{
		"http://example.org/":                     true,
		"http://example.org/private":              true,
		"http://example.org/private/":             false,
		"http://example.org/private/x.html":       false,
		"http://example.org/private/open.html":    true,
		"http://example.org/x/run.cgi":            false,
		"http://example.org/x/run.cgi?q":          true,
		"http://example.org/a/b/c/d":              false,
		"http://example.org/a/c/b":                true,
		"http://example.org/?next=/private/x":     true,
		"http://example.org:8080/private/%C3%BCx": false,
	} {
		require.Equal(t, want, rules.Allows(address), address)
	}
}

func TestRobotsOfOurName(t *testing.T) {
	t.Parallel()
	text := "User-agent: *\nDisallow: /\n\nUser-agent: other\nUser-agent: Geartrain-Crawl\nDisallow: /no\n"
	rules := parseRobots(strings.NewReader(text))
	require.Equal(t, Robots{{Path: "/no"}}, rules)
	require.True(t, rules.Allows("http://example.org/yes"))
	require.True(t, Robots(nil).Allows("http://example.org/anything"))
}
