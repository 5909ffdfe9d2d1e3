package table

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// timeFormat is how the times of a column are written: YYYY-MM-DD, also with /
// in place of -, or DD.MM.YYYY; then, after a blank or a T, hh:mm, hh:mm:ss or
// hh:mm:ss.s with up to nine s for the fraction; then nothing, Z, or the
// distance from UTC as in +02:00. A time without a zone is taken for UTC.
type timeFormat struct {
	separator byte // '-', '/' or '.', which means the day first
	join      byte // ' ' or 'T'; 0: only a date
	seconds   bool
	fraction  int // digits
	zone      bool
	offset    int // of the zone, in seconds
}

const day = 24 * 60 * 60

// parseTime reads a time in one of the formats: seconds since 1970, and nanoseconds.
func parseTime(s string) (seconds int64, nanoseconds int, f timeFormat, ok bool) {
	if len(s) < len("2006-01-02") || len(s) > len("2006-01-02T15:04:05.999999999+00:00") {
		return 0, 0, f, false
	}
	var year, month, dom int
	if f.separator = s[4]; f.separator == '-' || f.separator == '/' {
		ok = s[7] == f.separator && digits(s[0:4], &year) && digits(s[5:7], &month) && digits(s[8:10], &dom)
	} else {
		f.separator = '.'
		ok = s[2] == '.' && s[5] == '.' && digits(s[6:10], &year) && digits(s[3:5], &month) && digits(s[0:2], &dom)
	}
	if !ok || month < 1 || month > 12 || dom < 1 || dom > daysIn(year, month) {
		return 0, 0, f, false
	}
	seconds = daysSince1970(year, month, dom) * day
	rest := s[10:]
	if rest == "" {
		return seconds, 0, f, true
	}
	clock, nanoseconds, ok := f.parseClock(rest)
	return seconds + clock, nanoseconds, f, ok
}

// parseClock reads what follows the date.
func (f *timeFormat) parseClock(s string) (seconds int64, nanoseconds int, ok bool) {
	var hour, minute, second int
	if len(s) < len("T15:04") || s[3] != ':' || !digits(s[1:3], &hour) || !digits(s[4:6], &minute) {
		return 0, 0, false
	}
	if f.join = s[0]; f.join != ' ' && f.join != 'T' {
		return 0, 0, false
	}
	s = s[6:]
	if len(s) >= 3 && s[0] == ':' {
		if !digits(s[1:3], &second) {
			return 0, 0, false
		}
		f.seconds = true
		s = s[3:]
		if s != "" && s[0] == '.' {
			if nanoseconds, f.fraction = fraction(s[1:]); f.fraction == 0 {
				return 0, 0, false
			}
			s = s[1+f.fraction:]
		}
	}
	if hour > 23 || minute > 59 || second > 59 || !f.parseZone(s) {
		return 0, 0, false
	}
	return int64(hour*3600 + minute*60 + second - f.offset), nanoseconds, true
}

// parseZone reads the end: nothing, Z, +hh, +hhmm or +hh:mm.
func (f *timeFormat) parseZone(s string) bool {
	if s == "" {
		return true
	}
	f.zone = true
	if s == "Z" {
		return true
	}
	var hour, minute int
	digitsOnly := strings.Replace(s[1:], ":", "", 1)
	ok := (s[0] == '+' || s[0] == '-') && (len(s) == 6) == (len(s) > 3 && s[3] == ':')
	switch len(digitsOnly) {
	case 2:
		ok = ok && digits(digitsOnly, &hour)
	case 4:
		ok = ok && digits(digitsOnly[:2], &hour) && digits(digitsOnly[2:], &minute)
	default:
		return false
	}
	f.offset = hour*3600 + minute*60
	if s[0] == '-' {
		f.offset = -f.offset
	}
	return ok && hour < 24 && minute < 60
}

// digits reads a number of nothing but digits.
func digits(s string, v *int) bool {
	*v = 0
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
		*v = *v*10 + int(s[i]-'0')
	}
	return true
}

// fraction reads the digits of a fraction of a second, nine at most.
func fraction(s string) (nanoseconds, count int) {
	for unit := 100_000_000; count < len(s) && s[count]-'0' <= 9 && unit > 0; unit /= 10 {
		nanoseconds += unit * int(s[count]-'0')
		count++
	}
	return nanoseconds, count
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts days of the Gregorian calendar, from a year that begins
// in March, so that leap days come last (Hinnant, chrono-compatible low-level
// date algorithms).
func daysSince1970(year, month, dom int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	year += 400 // so that it is positive
	era := year / 400
	yearOfEra := year - 400*era
	dayOfYear := (153*(month-3)+2)/5 + dom - 1
	return int64(era-1)*146_097 + int64(yearOfEra*365+yearOfEra/4-yearOfEra/100+dayOfYear) - 719_468
}

// with makes a format for cells of both: the finest, in UTC where zones differ.
func (f timeFormat) with(g timeFormat) timeFormat {
	if f.join == 0 {
		f.join = g.join
	}
	if f.zone != g.zone || f.offset != g.offset {
		f.zone, f.offset = f.join != 0, 0
	}
	f.seconds = f.seconds || g.seconds
	f.fraction = max(f.fraction, g.fraction)
	return f
}

// String writes the format as in Column.Format.
func (f timeFormat) String() string {
	date := "YYYY-MM-DD"
	switch f.separator {
	case '/':
		date = "YYYY/MM/DD"
	case '.':
		date = "DD.MM.YYYY"
	}
	if f.join == 0 {
		return date
	}
	text := date + string(f.join) + "hh:mm"
	if f.seconds {
		text += ":ss"
	}
	if f.fraction > 0 {
		text += "." + strings.Repeat("s", f.fraction)
	}
	return text + f.zoneString()
}

func (f timeFormat) zoneString() string {
	switch {
	case !f.zone:
		return ""
	case f.offset == 0:
		return "Z"
	case f.offset < 0:
		return fmt.Sprintf("-%02d:%02d", -f.offset/3600, -f.offset/60%60)
	}
	return fmt.Sprintf("+%02d:%02d", f.offset/3600, f.offset/60%60)
}

// parseTimeFormat is the inverse of String: it puts a time in the place of the
// letters and reads that.
func parseTimeFormat(s string) (timeFormat, bool) {
	example := strings.NewReplacer("YYYY", "2001", "MM", "02", "DD", "03", "hh", "04", "mm", "05", ":ss", ":06").Replace(s)
	if whole, fraction, ok := strings.Cut(example, "."); ok && !strings.HasPrefix(s, "DD.") {
		example = whole + "." + strings.ReplaceAll(fraction, "s", "7")
	} else if ok {
		example = example[:10] + strings.ReplaceAll(example[10:], "s", "7")
	}
	_, _, f, ok := parseTime(example)
	return f, ok && f.String() == s
}

// layout is the format in the language of package time.
func (f timeFormat) layout() string {
	text := strings.TrimSuffix(f.String(), f.zoneString())
	text = strings.NewReplacer("YYYY", "2006", "MM", "01", "DD", "02", "hh", "15", "mm", "04", ":ss", ":05").Replace(text)
	if f.fraction > 0 {
		text = text[:len(text)-f.fraction] + strings.Repeat("0", f.fraction)
	}
	switch {
	case !f.zone:
		return text
	case f.offset == 0:
		return text + "Z"
	}
	return text + "-07:00"
}

// step is the distance in seconds of the moments that the format can write.
func (f timeFormat) step() float64 {
	switch {
	case f.join == 0:
		return day
	case !f.seconds:
		return 60
	}
	return math.Pow(10, -float64(f.fraction))
}

// Bounds of the seconds that have four digits of a year.
const (
	firstSecond = -62_167_219_200 // 0000-01-01
	lastSecond  = 253_402_300_799 // 9999-12-31 23:59:59
)

// moment is the time of so many seconds since 1970, on a step of the format.
func (f timeFormat) moment(seconds float64) time.Time {
	step, shift := f.step(), float64(f.offset)
	if f.join != 0 && f.seconds {
		shift = 0
	}
	rounded := seconds
	if step >= 1 {
		rounded = math.Round((seconds+shift)/step)*step - shift
	}
	rounded = min(max(rounded, firstSecond), lastSecond)
	whole := math.Floor(rounded)
	per := 1_000_000_000.0
	nanoseconds := 0.0
	if step < 1 {
		unit := step * per
		nanoseconds = math.Round((rounded-whole)*per/unit) * unit
	}
	return time.Unix(int64(whole), int64(nanoseconds)).In(time.FixedZone("", f.offset))
}

// append writes the time.
func (f timeFormat) append(to []byte, seconds float64, layout string) []byte {
	return f.moment(seconds).AppendFormat(to, layout)
}
