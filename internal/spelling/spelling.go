// Package spelling finds the name that a person meant. It must not know what
// the names stand for.
package spelling

import "strings"

const (
	shortestPrefix = 3  // the length from which the beginning of a name is taken for it
	longest        = 64 // bytes of a word that are looked at: more than a name has
)

// Nearest returns the candidate that a person who typed word most likely
// meant, or "" if none is near: a candidate that word begins or that begins
// word, otherwise the one with the smallest edit distance, up to a third of
// the word; the first of equals. Case does not count.
func Nearest(word string, candidates []string) string {
	word = strings.ToLower(word[:min(len(word), longest)])
	best, least := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		lower := strings.ToLower(c)
		d := editDistance(word, lower)
		if extends(word, lower) {
			d = min(d, 1)
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

func extends(a, b string) bool {
	return min(len(a), len(b)) >= shortestPrefix && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// editDistance counts insertions, deletions, substitutions and exchanges of
// neighbours (the optimal string alignment distance) that turn a into b.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			substituted := last[j]
			if a[i] != b[j] {
				substituted++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, substituted)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
