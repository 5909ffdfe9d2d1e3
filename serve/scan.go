package serve

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// scanner reads JSON of a known form, and so can say in which row and column of
// it a fault is. Its methods return a *problem.
type scanner struct {
	text    []byte
	at      int
	row     int // from 1, that the scanner is in; 0: none
	column  int
	columns []string // names of columns, or nil
}

// bad is a problem at the row and column where the scanner stands.
func (s *scanner) bad(status int, format string, args ...any) *problem {
	p := refuse(status, format, args...)
	p.row, p.column = s.row, s.column
	if s.column > 0 && s.column <= len(s.columns) {
		p.columnName = s.columns[s.column-1]
	}
	return p
}

// peek is the next byte that is no white space, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// found names what stands next, for a message.
func (s *scanner) found() string {
	if s.peek() == 0 && s.at >= len(s.text) {
		return "the body ends"
	}
	end := s.at
	for end < len(s.text) && end-s.at < 20 && isWord(s.text[end]) {
		end++
	}
	if end == s.at {
		_, size := utf8.DecodeRune(s.text[s.at:])
		end += size
	}
	return "there is " + strconv.QuoteToASCII(string(s.text[s.at:end]))
}

// isWord reports whether c may be part of a number, or of a name in its place.
func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '+' || c == '-' || c == '.'
}

func (s *scanner) take(c byte, what string) error {
	if s.peek() != c {
		return s.bad(http.StatusBadRequest, "%s where %s is expected", s.found(), what)
	}
	s.at++
	return nil
}

// sequence reads elements between open and shut, with commas.
func (s *scanner) sequence(open, shut byte, what string, element func(i int) error) error {
	if err := s.take(open, what); err != nil {
		return err
	}
	if s.peek() == shut {
		s.at++
		return nil
	}
	for i := 0; ; i++ {
		if err := element(i); err != nil {
			return err
		}
		if s.peek() == shut {
			s.at++
			return nil
		}
		if err := s.take(',', "a comma or "+strconv.QuoteRune(rune(shut))); err != nil {
			return err
		}
	}
}

func (s *scanner) array(what string, element func(i int) error) error {
	return s.sequence('[', ']', what, element)
}

// object reads members; none may appear twice.
func (s *scanner) object(what string, member func(key string) error) error {
	seen := map[string]bool{}
	return s.sequence('{', '}', what, func(int) error {
		key, err := s.string("a name in quotes")
		if err != nil {
			return err
		}
		if seen[key] {
			return s.bad(http.StatusBadRequest, "%s appears twice", strconv.QuoteToASCII(key))
		}
		seen[key] = true
		if err := s.take(':', "a colon"); err != nil {
			return err
		}
		return member(key)
	})
}

func (s *scanner) string(what string) (string, error) {
	if s.peek() != '"' {
		return "", s.bad(http.StatusBadRequest, "%s where %s is expected", s.found(), what)
	}
	end := s.at + 1
	for end < len(s.text) && s.text[end] != '"' {
		if s.text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s.text) {
		return "", s.bad(http.StatusBadRequest, "the body ends within a string")
	}
	var value string
	if err := json.Unmarshal(s.text[s.at:end+1], &value); err != nil {
		return "", s.bad(http.StatusBadRequest, "a string is no JSON")
	}
	s.at = end + 1
	return value, nil
}

// number reads a JSON number as float32, rounded once.
func (s *scanner) number() (float32, error) {
	s.peek()
	end := s.at
	for end < len(s.text) && isWord(s.text[end]) {
		end++
	}
	word := s.text[s.at:end]
	switch {
	case string(word) == "null":
		return 0, s.bad(http.StatusUnprocessableEntity, "the value is missing; fill it in or leave the row out")
	case !isNumber(word):
		return 0, s.bad(http.StatusBadRequest, "%s where a number is expected", s.found())
	}
	v, err := strconv.ParseFloat(string(word), 32)
	if errors.Is(err, strconv.ErrRange) || math.Abs(v) == math.MaxFloat32 && beyond(word) {
		return 0, s.bad(http.StatusUnprocessableEntity, "the value is beyond the range of float32")
	}
	if err != nil {
		return 0, s.bad(http.StatusBadRequest, "%s where a number is expected", s.found())
	}
	s.at = end
	return float32(v), nil
}

// greatest is the greatest number of a request, as the API's description says: the
// greatest of float32 in the digits that give it back.
const greatest = 3.4028235e38

// beyond reports whether a number that rounds to the greatest of float32 is greater.
func beyond(word []byte) bool {
	v, err := strconv.ParseFloat(string(word), 64)
	return err != nil || math.Abs(v) > greatest
}

// isNumber reports whether a word is a number of JSON: a value of it that starts
// as no literal and no string does.
func isNumber(word []byte) bool {
	return len(word) > 0 && (word[0] == '-' || word[0] >= '0' && word[0] <= '9') && json.Valid(word)
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.peek() != 0 || s.at < len(s.text) {
		return s.bad(http.StatusBadRequest, "%s after the end of the object", s.found())
	}
	return nil
}
