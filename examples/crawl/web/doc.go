// Package web is what the crawl example knows about the web: addresses in one normal form, which of
// them belong to a crawl, how a page is fetched, and what is kept of it.
//
//	address in a page ──► Resolve ──► Scope ──► the frontier ──► Fetch ──► Page: status, title,
//	  href, <base>, refresh  normal form  hosts, robots.txt        one request     words, links
//
// A redirect is not followed here: it is a page with one link. So each address is asked for once, and
// what many addresses redirect to is asked for once as well.
package web
