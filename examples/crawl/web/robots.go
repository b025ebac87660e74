package web

import (
	"bufio"
	"io"
	"strings"
)

// Robots are the rules of a robots.txt that apply to this crawler. None: everything is allowed.
type Robots []Rule

// Rule allows or disallows the addresses whose path and query match Path: a prefix, in which * stands
// for anything and a final $ for the end.
type Rule struct {
	Allow bool   `json:"allow,omitempty"`
	Path  string `json:"path"`
}

// robotsName is what a robots.txt calls this crawler.
const robotsName = "geartrain-crawl"

// parseRobots reads the group that names the crawler, else the group for all. Lines that are not
// understood are skipped, as everybody does.
func parseRobots(r io.Reader) Robots {
	var all, mine Robots
	var forAll, forMe, named bool // whom the current group is for; whether any group named us
	agents := false               // the last line was a User-agent
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		field, value := robotsLine(lines.Text())
		switch field {
		case "user-agent":
			if !agents {
				forAll, forMe = false, false
			}
			agents = true
			forAll = forAll || value == "*"
			forMe = forMe || strings.EqualFold(value, robotsName)
			named = named || forMe
		case "allow", "disallow":
			agents = false
			rule := Rule{Allow: field == "allow", Path: value}
			if value == "" { // an empty Disallow allows everything, and so says nothing
				continue
			}
			if forAll {
				all = append(all, rule)
			}
			if forMe {
				mine = append(mine, rule)
			}
		}
	}
	if named {
		return mine
	}
	return all
}

func robotsLine(line string) (field, value string) {
	line, _, _ = strings.Cut(strings.TrimPrefix(line, "\ufeff"), "#")
	field, value, _ = strings.Cut(line, ":")
	return strings.ToLower(strings.TrimSpace(field)), strings.TrimSpace(value)
}

// Allows reports whether the address in normal form may be fetched. The longest matching rule decides,
// and an Allow before a Disallow of the same length.
func (r Robots) Allows(address string) bool {
	_, path, _ := strings.Cut(address, "://")
	path = path[strings.IndexByte(path, '/'):]
	allowed, length := true, -1
	for _, rule := range r {
		if n := len(rule.Path); rule.matches(path) && (n > length || n == length && rule.Allow) {
			allowed, length = rule.Allow, n
		}
	}
	return allowed
}

func (r Rule) matches(path string) bool {
	pattern, toEnd := strings.CutSuffix(r.Path, "$")
	parts := strings.Split(pattern, "*")
	if !strings.HasPrefix(path, parts[0]) {
		return false
	}
	path = path[len(parts[0]):]
	for i, part := range parts[1:] {
		if toEnd && i == len(parts)-2 {
			return strings.HasSuffix(path, part)
		}
		at := strings.Index(path, part)
		if at < 0 {
			return false
		}
		path = path[at+len(part):]
	}
	return !toEnd || path == ""
}
