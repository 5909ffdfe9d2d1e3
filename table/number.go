package table

import (
	"math"
	"strconv"
	"strings"
)

// notation is how a number is written.
type notation struct {
	decimals int  // digits after the point
	exponent bool // whether it has one
	padded   bool // whether zeros precede its digits, as in codes: 007
}

// exactPowers are the powers of ten that are float64 numbers.
var exactPowers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// maxExactInteger is the greatest integer up to which float64 has all of them.
const maxExactInteger = 1 << 53

// parseNumber reads a decimal number without blanks: sign, digits with a point
// among them, exponent. It is the nearest float64, which may be infinite. Words
// such as inf and nan are none.
func parseNumber(s string) (v float64, how notation, ok bool) {
	i := 0
	negative := false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		negative = s[i] == '-'
		i++
	}
	const mostDigits = 19 // that surely fit 64 bits
	var mantissa uint64
	start, digits, point, lost := i, 0, -1, false
	for ; i < len(s); i++ {
		c := s[i]
		if c-'0' <= 9 {
			if lost = lost || digits >= mostDigits; !lost {
				mantissa = mantissa*10 + uint64(c-'0')
			}
			if mantissa > 0 {
				digits++
			}
		} else if c == '.' && point < 0 {
			point = i
		} else {
			break
		}
	}
	count := i - start
	if point >= 0 {
		count--
		how.decimals = i - point - 1
	}
	if count == 0 {
		return 0, how, false
	}
	how.padded = count > 1 && s[start] == '0' && point != start+1
	exponent := -how.decimals
	if i < len(s) {
		e, ok := parseExponent(s[i:])
		if !ok {
			return 0, how, false
		}
		exponent += e
		how.exponent = true
	}
	if lost || mantissa > maxExactInteger || exponent < -22 || exponent > 22 {
		v, _ = strconv.ParseFloat(s, 64) // of the same grammar; beyond the range it is infinite
		return v, how, true
	}
	v = float64(mantissa)
	if exponent < 0 { // both are exact, so that the result is rounded once (Clinger 1990)
		v /= exactPowers[-exponent]
	} else {
		v *= exactPowers[exponent]
	}
	if negative {
		v = -v
	}
	return v, how, true
}

// parseExponent reads the end of a number from its e on.
func parseExponent(s string) (e int, ok bool) {
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s = s[1:]
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	const enough = 1 << 20 // whatever comes after it, the number is 0 or infinite
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return 0, false
		}
		e = min(e*10+int(s[i]-'0'), enough)
	}
	if negative {
		e = -e
	}
	return e, true
}

// isInfinity recognises the words that programs write for infinite numbers.
func isInfinity(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return strings.EqualFold(s, "inf") || strings.EqualFold(s, "infinity")
}

// numberFormat is how the numbers of a column are written.
type numberFormat struct {
	decimals int
	fixed    bool // with zeros at the end
	exponent bool // seven digits, as many as float32 has, with an exponent where that is shorter
}

const (
	maxDecimals = 17
	floatDigits = 7
)

// parseNumberFormat reads Column.Format.
func parseNumberFormat(s string) (numberFormat, bool) {
	if s == "e" {
		return numberFormat{exponent: true}, true
	}
	rest, ok := strings.CutPrefix(s, "0")
	if !ok || rest == "" {
		return numberFormat{}, ok
	}
	places, ok := strings.CutPrefix(rest, ".")
	if !ok || places == "" || len(places) > maxDecimals || places != strings.Repeat(places[:1], len(places)) {
		return numberFormat{}, false
	}
	return numberFormat{decimals: len(places), fixed: places[0] == '0'}, places[0] == '0' || places[0] == '#'
}

// String is the inverse of parseNumberFormat.
func (f numberFormat) String() string {
	switch {
	case f.exponent:
		return "e"
	case f.decimals == 0:
		return "0"
	case f.fixed:
		return "0." + strings.Repeat("0", f.decimals)
	default:
		return "0." + strings.Repeat("#", f.decimals)
	}
}

// append writes v.
func (f numberFormat) append(to []byte, v float64) []byte {
	if f.exponent {
		return strconv.AppendFloat(to, v, 'g', floatDigits, 64)
	}
	start := len(to)
	to = strconv.AppendFloat(to, v, 'f', f.decimals, 64)
	if !f.fixed && f.decimals > 0 {
		for to[len(to)-1] == '0' {
			to = to[:len(to)-1]
		}
		if to[len(to)-1] == '.' {
			to = to[:len(to)-1]
		}
	}
	if to[start] == '-' && strings.Trim(string(to[start+1:]), "0.") == "" { // -0.00
		to = append(to[:start], to[start+1:]...)
	}
	return to
}

// round brings v to the numbers that the format writes.
func (f numberFormat) round(v float64) float64 {
	if f.exponent || f.decimals >= len(exactPowers) {
		return v
	}
	scaled := v * exactPowers[f.decimals]
	if math.Abs(scaled) >= maxExactInteger {
		return v
	}
	return math.RoundToEven(scaled) / exactPowers[f.decimals]
}

// decimalsOf is the number of decimals that float32 can tell apart over a range
// of values, at most so many.
func decimalsOf(low, high float64, most int) int {
	const resolution = 1.0 / (1 << 24)
	step := (high - low) * resolution
	if !(step > 0) {
		return most
	}
	return max(min(most, int(math.Ceil(-math.Log10(step)))), 0)
}
