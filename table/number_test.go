package table

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	for _, text := range []string{
		"0", "-0", "1", "+1", "12.", ".5", "-.5", "1e5", "1E+05", "2.5e-3", "9007199254740993", "123456789012345678901234567890", "0.1", "3.141592653589793",
		"1e22", "1e23", "4.9e-324", "1.7976931348623157e308", "1e999", "-1e999", "1e-999", "0.000000000000000000000000000001", "179769313486231570000000000000000000000",
	} {
		got, _, ok := parseNumber(text)
		want, _ := strconv.ParseFloat(text, 64)
		if !ok || got != want || math.Signbit(got) != math.Signbit(want) {
			t.Errorf("%q is %v (%v), not %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-", ".", "e5", "1e", "1e+", "0x10", "1_000", "inf", "NaN", "1,5", "1 000", "--1", "1.2.3", "٣", "1e5.5", "$5", "5%"} {
		if v, _, ok := parseNumber(text); ok {
			t.Errorf("%q is taken for %v", text, v)
		}
	}
	for text, want := range map[string]notation{
		"1.50": {decimals: 2}, "7": {}, "1e3": {exponent: true}, "007": {padded: true}, "0.5": {decimals: 1}, "-00.5": {decimals: 1, padded: true}, "0": {}, "00": {padded: true}, "12.": {},
	} {
		if _, got, ok := parseNumber(text); !ok || got != want {
			t.Errorf("%q is written as %+v, not %+v", text, got, want)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"1.5", "-1e-5", "00012345678901234567890.5", "1e", ".", "9e22", "18446744073709551616"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, how, ok := parseNumber(text)
		want, err := strconv.ParseFloat(text, 64)
		plain := strings.Trim(text, "0123456789+-.eE") == ""
		if ok != (plain && (err == nil || err.(*strconv.NumError).Err == strconv.ErrRange)) {
			t.Fatalf("%q: %v, %v", text, ok, err)
		}
		if ok && got != want || how.decimals < 0 {
			t.Fatalf("%q is %v, not %v", text, got, want)
		}
	})
}

func TestNumberFormats(t *testing.T) {
	for _, c := range []struct {
		format string
		v      float64
		want   string
	}{
		{"0", 2.5, "2"}, {"0", -0.4, "0"}, {"0.00", 1.005, "1.00"}, {"0.00", -0.001, "0.00"}, {"0.##", 1.5, "1.5"}, {"0.##", 2, "2"}, {"0.##", -0.001, "0"},
		{"0.0", 100, "100.0"}, {"e", 1e-300, "1e-300"}, {"e", 1.5, "1.5"}, {"e", 12345678, "1.234568e+07"}, {"0.###", 1e15, "1000000000000000"},
	} {
		f, ok := parseNumberFormat(c.format)
		if got := string(f.append(nil, c.v)); !ok || got != c.want || f.String() != c.format {
			t.Errorf("%v as %s (%v, %s) is %q, not %q", c.v, c.format, ok, f, got, c.want)
		}
	}
	for _, format := range []string{"", "1", "0.", "00", "0.0#", "0.#0", "0.x", "0.000000000000000000", "ee", "0e"} {
		if f, ok := parseNumberFormat(format); ok {
			t.Errorf("%q is taken for %s", format, f)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct{ layout, text, format string }{
		{"2006-01-02", "2024-02-29", "YYYY-MM-DD"},
		{"2006-01-02", "1600-02-29", "YYYY-MM-DD"},
		{"2006-01-02", "0000-01-01", "YYYY-MM-DD"},
		{"2006/01/02", "1969/12/31", "YYYY/MM/DD"},
		{"02.01.2006", "31.12.1969", "DD.MM.YYYY"},
		{"2006-01-02 15:04", "2024-12-31 23:59", "YYYY-MM-DD hh:mm"},
		{"2006-01-02T15:04:05", "1815-06-18T11:35:00", "YYYY-MM-DDThh:mm:ss"},
		{"2006-01-02T15:04:05Z07:00", "2024-12-31T23:59:59Z", "YYYY-MM-DDThh:mm:ssZ"},
		{"2006-01-02T15:04:05.000-07:00", "2024-12-31T23:59:59.125-03:30", "YYYY-MM-DDThh:mm:ss.sss-03:30"},
		{"02.01.2006 15:04:05.0", "01.02.2003 04:05:06.5", "DD.MM.YYYY hh:mm:ss.s"},
	} {
		want, err := time.Parse(c.layout, c.text)
		if err != nil {
			t.Fatal(err)
		}
		seconds, nanoseconds, f, ok := parseTime(c.text)
		if !ok || seconds != want.Unix() || nanoseconds != want.Nanosecond() || f.String() != c.format {
			t.Errorf("%s is %d.%09d (%v) of %s, not %d.%09d of %s", c.text, seconds, nanoseconds, ok, f, want.Unix(), want.Nanosecond(), c.format)
		}
		if got := string(f.append(nil, float64(seconds)+float64(nanoseconds)/1e9, f.layout())); got != c.text {
			t.Errorf("%s is written as %s", c.text, got)
		}
		if again, ok := parseTimeFormat(c.format); !ok || again != f {
			t.Errorf("%s is read as %+v (%v), not %+v", c.format, again, ok, f)
		}
	}
	for _, text := range []string{"", "2024-2-9", "2024-02-30", "2024-00-01", "2024-13-01", "2023-02-29", "1900-02-29", "2024-01-01 ", "2024-01-01T", "2024-01-01 24:00", "2024-01-01 12:60",
		"2024-01-01 12:00:60", "2024-01-01 12:00:00.", "2024-01-01 12:00:00.1234567890", "2024-01-01 12:00+2", "2024-01-01 12:00+02:0", "2024-01-01 12:00+24:00", "2024-01-01x12:00", "20240101", "01/02/2024", "2024-01/01", "2024-01-01 12:00 +02"} {
		if seconds, _, f, ok := parseTime(text); ok {
			t.Errorf("%q is taken for %d of %s", text, seconds, f)
		}
	}
	for _, format := range []string{"", "YYYY", "YYYY-DD-MM", "yyyy-mm-dd", "YYYY-MM-DD hh", "2001-02-03", "YYYY-MM-DDThh:mm:ss.", "YYYY-MM-DD hh:mm:06"} {
		if f, ok := parseTimeFormat(format); ok {
			t.Errorf("%q is taken for %s", format, f)
		}
	}
}

// Whatever is read is written so that it is read again.
func FuzzTime(f *testing.F) {
	for _, seed := range []string{"2024-02-29", "31.12.1969 23:59:59.999+14:00", "0000-01-01T00:00-23:59", "9999-12-31 23:59:59.999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seconds, nanoseconds, format, ok := parseTime(text)
		if !ok {
			return
		}
		if again, ok := parseTimeFormat(format.String()); !ok || again != format {
			t.Fatalf("%q: format %s is read as %s (%v)", text, format, again, ok)
		}
		written := string(format.append(nil, float64(seconds), format.layout()))
		if seconds < firstSecond+day || seconds > lastSecond-day { // a zone may lead to another year
			return
		}
		if s, n, _, ok := parseTime(written); !ok || s != seconds || n != 0 || nanoseconds < 0 || nanoseconds >= 1e9 {
			t.Fatalf("%q is written as %q: %d %d (%v)", text, written, s, n, ok)
		}
	})
}
