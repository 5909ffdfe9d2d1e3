package table

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gpudae/data"
)

// markers recognises the texts that stand for a missing value.
type markers struct {
	texts   []string // lower case
	longest int
	first   [256]bool // bytes that one of them begins with, in either case
	empty   bool
}

func newMarkers(texts []string) *markers {
	m := &markers{}
	for _, text := range texts {
		text = strings.ToLower(strings.TrimSpace(text))
		if text == "" {
			m.empty = true
			continue
		}
		m.texts = append(m.texts, text)
		m.longest = max(m.longest, len(strings.ToUpper(text)), len(text))
		for _, spelled := range []string{text, strings.ToUpper(text)} {
			m.first[spelled[0]] = true
		}
		if text[0] >= 0x80 { // folding may change the first byte in other ways
			for b := 0x80; b < len(m.first); b++ {
				m.first[b] = true
			}
		}
	}
	return m
}

// has reports whether a text without blanks around it is a marker.
func (m *markers) has(text string) bool {
	if text == "" {
		return m.empty
	}
	if len(text) > m.longest+utf8Slack || !m.first[text[0]] {
		return false
	}
	return slices.ContainsFunc(m.texts, func(marker string) bool { return strings.EqualFold(marker, text) })
}

// utf8Slack is how much longer a text may be than a marker that it equals but
// for case: some letters grow when they are folded.
const utf8Slack = 8

// falseWords and trueWords are the spellings of a boolean, pair by pair.
var (
	falseWords = []string{"false", "no", "f", "n"}
	trueWords  = []string{"true", "yes", "t", "y"}
)

// wordKey is "false" or "true" for a spelling of those, and otherwise empty.
func wordKey(text string) string {
	const longest = 5
	if len(text) > longest {
		return ""
	}
	fold := func(word string) bool { return strings.EqualFold(word, text) }
	switch {
	case slices.ContainsFunc(falseWords, fold):
		return "false"
	case slices.ContainsFunc(trueWords, fold):
		return "true"
	}
	return ""
}

// numberKey is the number that a text spells, as the shortest text, or empty.
func numberKey(text string) string {
	v, how, ok := parseNumber(text)
	if !ok || how.padded || math.IsInf(v, 0) {
		return ""
	}
	return string(appendNumber(nil, v+0))
}

func appendNumber(to []byte, v float64) []byte { return strconv.AppendFloat(to, v, 'g', -1, 64) }

// timeText is how a time of a typed column is named as a category.
const timeText = time.RFC3339Nano

// textOf is a cell that is present as a category: a text without the blanks
// around it, a number as short as it goes, true or false, a time.
func textOf(v *data.Values, row int) string {
	switch {
	case v.Numbers != nil:
		return string(appendNumber(nil, v.Numbers[row]))
	case v.Integers != nil:
		return strconv.FormatInt(v.Integers[row], 10)
	case v.Booleans != nil:
		return strconv.FormatBool(v.Booleans[row])
	case v.Times != nil:
		return time.Unix(0, v.Times[row]).UTC().Format(timeText)
	}
	return trimmed(v.Text[row])
}

// number is the number of a cell of a typed column: NaN where it is absent.
func number(v *data.Values, row int) float64 {
	switch {
	case v.IsAbsent(row):
		return math.NaN()
	case v.Numbers != nil:
		return v.Numbers[row]
	case v.Integers != nil:
		return float64(v.Integers[row])
	case v.Times != nil:
		return secondsOf(v.Times[row])
	case v.Booleans[row]:
		return 1
	}
	return 0
}

// secondsOf brings nanoseconds since 1970 to seconds.
func secondsOf(nanoseconds int64) float64 {
	const per = int64(time.Second)
	return float64(nanoseconds/per) + float64(nanoseconds%per)/float64(per)
}

// cannotBe says why cells of a type cannot be of a kind, or nothing.
func cannotBe(t data.CellType, k Kind) string {
	switch {
	case k == Time && t != data.Text && t != data.Time, k.scaled() && k != Time && t == data.Time:
		return fmt.Sprintf("holds cells of type %s, which cannot be %s", t, k)
	}
	return ""
}

// shown is a cell in a message.
func shown(cell string) string {
	const most = 40
	if len(cell) > most {
		cell = strings.ToValidUTF8(cell[:most], "") + "..."
	}
	return strconv.Quote(cell)
}
