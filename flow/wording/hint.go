package wording

import (
	"fmt"
	"strings"
)

// DidYouMean is a hint that names the known word nearest to a wrong one, or nothing.
func DidYouMean(word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}

func nearest(word string, known []string) string {
	best, distance := "", len(word)/3+1
	for _, k := range known {
		if len(word) > 2 && strings.HasPrefix(k, word) {
			return k // int for integer
		}
	}
	for _, k := range known {
		if d := editDistance(word, k); d < distance || d == distance && best == "" {
			best, distance = k, d
		}
	}
	return best
}

// editDistance is how many letters must be changed, added, left out or swapped with their
// neighbour to make b of a. Long words are not looked at.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}
