package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"gorgonia.org/tensor"

	"gpudae/data"
)

const (
	typeJSON = "application/json"
	typeNPY  = "application/x-npy"
	typeCSV  = "text/csv"
)

// numberTypes and tableTypes are the media types of rows, of bodies and answers.
func numberTypes() []string { return []string{typeJSON, typeNPY} }
func tableTypes() []string  { return []string{typeJSON, typeCSV} }

// form is what rows of a body must be like.
type form struct {
	features int
	columns  []string // or nil
	scale    float32  // of 8-bit arrays
	rows     int      // the most
}

// bodyType is the media type of a request's body, one of types.
func bodyType(r *http.Request, types []string) (string, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return "", refuse(http.StatusUnsupportedMediaType, "Content-Encoding %s; send the body as it is", strconv.QuoteToASCII(encoding))
	}
	given := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(given)
	if err != nil || !slices.Contains(types, kind) {
		return "", refuse(http.StatusUnsupportedMediaType, "Content-Type %s; send %s", strconv.QuoteToASCII(given), strings.Join(types, " or "))
	}
	return kind, nil
}

// answerType is the media type that a request wants, one of types: the one of its
// body where Accept leaves the choice.
func answerType(r *http.Request, body string, types []string) (string, error) {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return body, nil
	}
	best, weight := "", 0.0
	for part := range strings.SplitSeq(accept, ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if text, given := parameters["q"]; given {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		if kind = accepted(kind, body, types); kind != "" && q > weight {
			best, weight = kind, q
		}
	}
	if best == "" {
		return "", refuse(http.StatusNotAcceptable, "Accept %s; there are %s", strconv.QuoteToASCII(accept), strings.Join(types, " and "))
	}
	return best, nil
}

// accepted is the type that a range of media types stands for, that of the body if
// it can be, or empty.
func accepted(kind, body string, types []string) string {
	family, any := strings.CutSuffix(kind, "*")
	if family == "*/" {
		family = ""
	}
	for _, t := range append([]string{body}, types...) {
		if t == kind || any && strings.HasPrefix(t, family) {
			return t
		}
	}
	return ""
}

// readBody reads a body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes; send fewer rows at a time", limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "the body did not come in time")
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body ends early")
	}
	return body, nil
}

// parse returns the rows of a body [rows, features], in the scale of the data.
func (f form) parse(ctx context.Context, kind string, body []byte) (*tensor.Dense, error) {
	if kind == typeNPY {
		return f.parseNPY(ctx, body)
	}
	values, err := f.parseJSON(body)
	if err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(len(values)/f.features, f.features), tensor.WithBacking(values)), nil
}

func (f form) parseNPY(ctx context.Context, body []byte) (*tensor.Dense, error) {
	if !bytes.HasPrefix(body, []byte("\x93NUMPY")) {
		return nil, refuse(http.StatusBadRequest, "the body is no NPY file")
	}
	d, err := data.Open(ctx, "-", data.Options{Standard: bytes.NewReader(body), Scale: f.scale})
	if err != nil {
		return nil, fromData(err, f.columns)
	}
	defer d.Close()
	info := d.Info()
	if info.Features != f.features {
		return nil, refuse(http.StatusUnprocessableEntity, "rows of %d numbers; the model takes %d", info.Features, f.features)
	}
	if info.Rows > f.rows {
		return nil, f.tooMany(info.Rows)
	}
	x, err := data.Floats(ctx, d, 0, info.Rows)
	return x, fromData(err, f.columns)
}

func (f form) tooMany(rows int) error {
	return refuse(http.StatusRequestEntityTooLarge, "%d rows; send at most %d at a time", rows, f.rows)
}

// parseJSON reads {"rows": [[...], ...]}, to which "columns" may name the columns
// in the order of the rows, or {"records": [{"name": ...}, ...]}.
func (f form) parseJSON(body []byte) ([]float32, error) {
	s := &scanner{text: body}
	var values []float32
	var order []int // of "columns": where each belongs
	var kind string
	err := s.object("an object", func(key string) (err error) {
		switch key {
		case "rows", "records":
			if kind != "" {
				return s.bad(http.StatusBadRequest, "both \"rows\" and \"records\"")
			}
			kind = key
			s.columns = f.namesIn(body, order)
			values, err = f.rowsOf(s, key)
			s.columns = nil
		case "columns":
			order, err = f.orderOf(s)
		default:
			err = s.bad(http.StatusBadRequest, "unknown member %s; there are \"rows\", \"columns\" and \"records\"", strconv.QuoteToASCII(key))
		}
		return err
	})
	if err == nil {
		err = s.end()
	}
	switch {
	case err != nil:
		return nil, err
	case kind == "":
		return nil, refuse(http.StatusBadRequest, "no \"rows\"")
	case len(values) == 0:
		return nil, refuse(http.StatusUnprocessableEntity, "there are no rows")
	case order != nil && kind == "records":
		return nil, refuse(http.StatusBadRequest, "\"columns\" goes with \"rows\", not with \"records\"")
	}
	return f.arranged(values, order), nil
}

// rowsOf reads the rows or records.
func (f form) rowsOf(s *scanner, kind string) ([]float32, error) {
	var values []float32
	var index map[string]int
	if kind == "records" {
		if f.columns == nil {
			return nil, refuse(http.StatusUnprocessableEntity, "the columns of this model have no names; send \"rows\"")
		}
		index, s.columns = indexOf(f.columns), f.columns
	}
	err := s.array("an array of rows", func(i int) (err error) {
		if i == f.rows {
			return refuse(http.StatusRequestEntityTooLarge, "more than %d rows; send fewer at a time", f.rows)
		}
		s.row = i + 1
		if index != nil {
			values, err = f.record(s, index, values)
		} else {
			values, err = f.row(s, values)
		}
		s.row, s.column = 0, 0
		return err
	})
	return values, err
}

// namesIn are the names of the numbers of a row, nil where "columns", which may
// change them, is still to come.
func (f form) namesIn(body []byte, order []int) []string {
	if order == nil && bytes.Contains(body, []byte(`columns`)) {
		return nil
	}
	names := slices.Clone(f.columns)
	for i, at := range order {
		names[i] = f.columns[at]
	}
	return names
}

// row appends a row to values.
func (f form) row(s *scanner, values []float32) ([]float32, error) {
	count := 0
	err := s.array("a row, an array of numbers,", func(i int) error {
		if i == f.features {
			s.column = 0
			return s.bad(http.StatusUnprocessableEntity, "more than %d numbers, which the model takes", f.features)
		}
		s.column, count = i+1, i+1
		v, err := s.number()
		values = append(values, v)
		return err
	})
	if err == nil && count < f.features {
		s.column = 0
		err = s.bad(http.StatusUnprocessableEntity, "%d numbers; the model takes %d", count, f.features)
	}
	return values, err
}

// record appends a row to values.
func (f form) record(s *scanner, index map[string]int, values []float32) ([]float32, error) {
	row, given := make([]float32, f.features), make([]bool, f.features)
	err := s.object("a record, an object,", func(key string) (err error) {
		at, known := index[key]
		if !known {
			return s.bad(http.StatusUnprocessableEntity, "the model knows no column %s", strconv.QuoteToASCII(key))
		}
		s.column, given[at] = at+1, true
		row[at], err = s.number()
		if err == nil {
			s.column = 0
		}
		return err
	})
	if missing := slices.Index(given, false); err == nil && missing >= 0 {
		s.column = missing + 1
		err = s.bad(http.StatusUnprocessableEntity, "the value is missing")
	}
	return append(values, row...), err
}

// orderOf reads the names of columns and returns where each belongs.
func (f form) orderOf(s *scanner) ([]int, error) {
	if f.columns == nil {
		return nil, refuse(http.StatusUnprocessableEntity, "the columns of this model have no names; leave \"columns\" out")
	}
	index, order := indexOf(f.columns), []int{}
	err := s.array("an array of names", func(i int) error {
		name, err := s.string("a name in quotes")
		if err != nil {
			return err
		}
		at, known := index[name]
		if !known || slices.Contains(order, at) {
			return &problem{status: http.StatusUnprocessableEntity, column: i + 1, text: "no other column of the model is called " + strconv.QuoteToASCII(name)}
		}
		order = append(order, at)
		return nil
	})
	if err == nil && len(order) < f.features {
		err = refuse(http.StatusUnprocessableEntity, "names of %d columns; the model takes %d", len(order), f.features)
	}
	return order, err
}

// arranged puts the values of each row where the order says; nil leaves them.
func (f form) arranged(values []float32, order []int) []float32 {
	if order == nil {
		return values
	}
	out := make([]float32, len(values))
	for i, v := range values {
		out[i-i%f.features+order[i%f.features]] = v
	}
	return out
}

func indexOf(columns []string) map[string]int {
	index := make(map[string]int, len(columns))
	for i, name := range columns {
		index[name] = i
	}
	return index
}
