package flow

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Messages that differ in the item alone are one reason; those of one item are told as they are.
func TestReasonsOfItemsThatNameThemselves(t *testing.T) {
	t.Parallel()
	f := newFailures(t.TempDir())
	defer f.records.close()
	add := func(place int, item, message string) {
		require.NoError(t, f.add(JobFailure{Place: place, Item: json.RawMessage(item), Reason: "exception", Message: message}))
	}
	for i := range 500 {
		add(i, fmt.Sprintf(`{"url":"https://example.org/%d","depth":%d}`, i, i%3), fmt.Sprintf("exit code 22: https://example.org/%d: 404\nmore", i))
	}
	for i := range 20 {
		item := string(rune('a' + i))
		add(600+i, `"`+item+`"`, "exit code 1:\nlooking at "+item+"\nno such file: "+item+"\n")
	}
	add(500, `"other"`, "exit code 22: other: 500")
	add(501, `12`, "exit code 12: 112 is not 12, nor x12")
	groups := f.groups()
	require.Len(t, groups, 4)
	require.Equal(t, "exit code 22: …: 404", groups[0].Message)
	require.Equal(t, 500, groups[0].Count)
	require.Contains(t, groups[0].Example.Message, "https://example.org/0: 404")
	require.Equal(t, "exit code 1: no such file: …", groups[1].Message, "the last line is the reason")
	require.Equal(t, 20, groups[1].Count)
	require.Equal(t, "exit code 22: other: 500", groups[2].Message)
	require.Equal(t, "exit code 12: 112 is not 12, nor x12", groups[3].Message)
	require.Equal(t, "exit code …: 112 is not …, nor x12", withoutItem(groups[3].Message, json.RawMessage("12")))
}
