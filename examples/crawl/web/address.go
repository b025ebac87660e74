package web

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/idna"
)

// MaxAddress is the longest address that is followed, in bytes. Longer ones are almost always made by
// a page that adds to its own address.
const MaxAddress = 2000

// ErrNotFollowed is wrapped by the errors of addresses that a crawl leaves alone: another scheme than
// http and https, no host, or too long.
var ErrNotFollowed = errors.New("not an address to follow")

// Normalize gives an absolute address in its normal form: scheme and host in lower case, no default
// port, no user, no fragment, a path that is never empty and has no dot segments, percent-encoding
// only where it is needed and in upper case. The query is kept as it is. An address without a scheme
// is taken as http.
func Normalize(address string) (string, error) {
	address = clean(address)
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotFollowed, err)
	}
	return normalize(u)
}

// Resolve gives the normal form of href as it stands in a page whose base address is base.
func Resolve(base *url.URL, href string) (string, error) {
	href = clean(href)
	if len(href) > MaxAddress {
		return "", fmt.Errorf("%w: %d bytes long", ErrNotFollowed, len(href))
	}
	ref, err := url.Parse(href)
	if err != nil {
		if ref, err = url.Parse(escapeBadPercent(href)); err != nil {
			return "", fmt.Errorf("%w: %w", ErrNotFollowed, err)
		}
	}
	return normalize(base.ResolveReference(ref))
}

// Host is the host of an address in normal form, with its port if it is not the default one.
func Host(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// clean does to an address what browsers do before they parse it: white space around it goes, line
// breaks and tabs inside it go, backslashes of the path are slashes.
func clean(address string) string {
	address = strings.Trim(address, "\x00\t\n\f\r ")
	address = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(address)
	before, after, found := strings.Cut(address, "?")
	before = strings.ReplaceAll(before, `\`, "/")
	if found {
		return before + "?" + after
	}
	return before
}

// escapeBadPercent makes each percent sign that begins no escape a literal one.
func escapeBadPercent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(s[i])
		if s[i] == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])) {
			b.WriteString("25")
		}
	}
	return b.String()
}

func normalize(u *url.URL) (string, error) {
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" || u.Opaque != "" {
		return "", fmt.Errorf("%w: scheme %q", ErrNotFollowed, u.Scheme)
	}
	host, err := normalHost(scheme, u)
	if err != nil {
		return "", err
	}
	address := scheme + "://" + host + normalPath(u)
	if u.RawQuery != "" {
		address += "?" + encode(u.RawQuery, queryBytes)
	}
	if len(address) > MaxAddress {
		return "", fmt.Errorf("%w: %d bytes long", ErrNotFollowed, len(address))
	}
	return address, nil
}

func normalHost(scheme string, u *url.URL) (string, error) {
	name, port := strings.ToLower(u.Hostname()), u.Port()
	if ip := net.ParseIP(name); ip != nil {
		if name = ip.String(); strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
	} else {
		if ascii, err := idna.Lookup.ToASCII(name); err == nil { // else it is an old name, perhaps with an underscore
			name = ascii
		}
		name = strings.TrimRight(name, ".")
		if !isPlainHost(name) {
			return "", fmt.Errorf("%w: host %q", ErrNotFollowed, u.Host)
		}
	}
	if port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return name, nil
	}
	return name + ":" + port, nil
}

func isPlainHost(name string) bool {
	for i := range len(name) {
		if c := name[i]; !isUnreserved(c) || c == '~' {
			return false
		}
	}
	return name != ""
}

// normalPath removes dot segments, also those that are written with %2e, and never decodes %2F.
func normalPath(u *url.URL) string {
	p := encode(u.EscapedPath(), pathBytes)
	if p == "" {
		return "/"
	}
	slash := strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")
	p = cleanDots("/" + strings.TrimPrefix(p, "/"))
	if slash && !strings.HasSuffix(p, "/") {
		p += "/"
	}
	return p
}

// cleanDots is path.Clean, except that it leaves doubled slashes as they are.
func cleanDots(p string) string {
	if !strings.Contains(p, "/.") {
		return p
	}
	if !strings.Contains(p, "//") {
		return path.Clean(p)
	}
	var out []string
	for segment := range strings.SplitSeq(p[1:], "/") {
		switch segment {
		case ".":
		case "..":
			out = out[:max(len(out)-1, 0)]
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

// The bytes beside the unreserved ones that stand in a path or a query without an escape.
const (
	pathBytes  = "!$&'()*+,;=:@/"
	queryBytes = pathBytes + "?[]|{}^`\\"
)

// encode escapes what must be escaped, and decodes the escapes of letters, digits and -._~.
func encode(s, allowed string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		escaped := c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
		if escaped {
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		if isUnreserved(c) || !escaped && strings.IndexByte(allowed, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}
