package web

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestReadDocument(t *testing.T) {
	t.Parallel()
	doc, err := readDocument(strings.NewReader(`<!doctype html>
<html><head><title>
  Gears &amp; &lt;Trains&gt;
</title><title>second</title>
<base href="/docs/"><base href="/ignored/">
<meta http-equiv="Refresh" content="5; URL='later.html'"><meta name="description" content="0; url=no">
<style>body { color: bluegreen }</style>
<script>var hidden = "<a href='script.html'>words</a>";</script></head>
<body><!-- <a href="comment.html">nothing</a> -->
<svg><title>drawing</title></svg>
<a name="anchor">none</a> <A HREF="one.html">Gear gear GEAR</A> <a href=unquoted.html>wheel
<p><a href="one.html">again</a><map><area href="area.html"></map>
<iframe src="frame.html"></iframe>
<a href="amp.html?a=1&amp;b=2">x</a> <a href="open.html
`), "text/html; charset=utf-8")
	require.NoError(t, err)
	require.Equal(t, "Gears & <Trains>", doc.title)
	require.Equal(t, "/docs/", doc.base)
	require.Equal(t, []string{
		"later.html", "one.html", "unquoted.html", "one.html", "area.html", "frame.html", "amp.html?a=1&b=2",
	}, doc.hrefs)
	require.Equal(t, map[string]int{
		"gears": 1, "trains": 1, "second": 1, "drawing": 1, "none": 1, "gear": 3, "wheel": 1, "again": 1,
	}, doc.words)
}

func TestReadDocumentEncodings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, contentType string }{
		"utf-8":         {"<title>Zahnräder</title>", "text/html; charset=utf-8"},
		"latin 1":       {"<title>Zahnr\xe4der</title>", "text/html; charset=ISO-8859-1"},
		"meta":          {"<meta charset=windows-1252><title>Zahnr\xe4der</title>", "text/html"},
		"byte order":    {"\ufeff<title>Zahnräder</title>", "text/html; charset=iso-8859-1"},
		"not a charset": {"<meta charset=utf-8><title>Zahnräder</title>", "text/html; charset=nonsense"},
		"utf-16":        {"\xff\xfe<\x00t\x00i\x00t\x00l\x00e\x00>\x00Z\x00a\x00h\x00n\x00r\x00\xe4\x00d\x00e\x00r\x00", "text/html"},
	} {
		doc, err := readDocument(strings.NewReader(tt.text), tt.contentType)
		require.NoError(t, err, name)
		require.Equal(t, "Zahnräder", doc.title, name)
		require.Equal(t, map[string]int{"zahnräder": 1}, doc.words, name)
	}
}

func TestReadDocumentEdges(t *testing.T) {
	t.Parallel()
	doc, err := readDocument(strings.NewReader(""), "text/html")
	require.NoError(t, err)
	require.Empty(t, doc.hrefs)

	_, err = readDocument(io.MultiReader(strings.NewReader(strings.Repeat("x", 5000)), iotest.ErrReader(io.ErrUnexpectedEOF)), "text/html")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	nested := strings.Repeat("<div>", 100_000) + `<a href="deep.html">`
	doc, err = readDocument(strings.NewReader(nested), "text/html")
	require.NoError(t, err)
	require.Equal(t, []string{"deep.html"}, doc.hrefs)

	doc, err = readDocument(strings.NewReader("<title>"+strings.Repeat("ü", 300)+"\x00</title>"), "text/html; charset=utf-8")
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("ü", maxTitle/2)+"...", doc.title)
}

func TestTopWords(t *testing.T) {
	t.Parallel()
	doc := &document{words: map[string]int{"often": 3}}
	for i := range 10 {
		doc.words[fmt.Sprint("word", i)] = 1
	}
	require.Equal(t, map[string]int{"often": 3, "word0": 1, "word1": 1}, doc.topWords(3))
}
