package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"gpudae/data"
	"gpudae/internal/atomicfile"
	"gpudae/internal/spelling"
)

// schemaVersion is the version of the format that is written, and read.
const schemaVersion = 1

// maxSchemaBytes bounds a schema file: one of a thousand columns of ten thousand
// categories each has some hundred megabytes.
const maxSchemaBytes = 1 << 29

// ReadSchema reads a schema file. It fails with *data.Error.
func ReadSchema(path string) (*Schema, error) {
	file, err := os.Open(path)
	if err != nil {
		problem := err.Error()
		if p := (*os.PathError)(nil); errors.As(err, &p) {
			problem = p.Err.Error()
		}
		return nil, &data.Error{Path: path, Problem: "cannot be opened: " + problem, Remedy: "make one: gpudae data schema DATA -o FILE", Err: err}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSchemaBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: reading the schema: %w", path, err)
	}
	if len(text) > maxSchemaBytes {
		return nil, &data.Error{Path: path, Problem: fmt.Sprintf("is longer than the %d bytes of the largest schema", maxSchemaBytes), Remedy: "give a schema file"}
	}
	return ParseSchema(path, text)
}

// Write writes the schema file, whole or not at all.
func (s *Schema) Write(path string) error {
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(s.JSON())
		return err
	})
}

// ParseFitted reads the schema of a model of so many columns. It fails with
// *data.Error also if it is not fitted, or has another number of columns; where
// is the model's file.
func ParseFitted(where string, text []byte, columns int) (*Schema, error) {
	s, err := ParseSchema(where, text)
	if err == nil {
		err = s.CheckFitted(where)
	}
	if err != nil {
		return nil, err
	}
	if used := len(s.Used()); used != columns {
		return nil, &data.Error{Path: where, Problem: fmt.Sprintf("its schema uses %d columns, its model %d", used, columns), Remedy: "it is damaged: give another copy"}
	}
	return s, nil
}

// ParseSchema reads a schema as JSON and checks it. A key that there is not is
// an error that offers the nearest; so is one that is given twice, a value of the
// wrong type, and whatever does not fit together, which names the column. A
// column needs only name and kind; one whose kind is not that of its fit is read
// too, without the format and scaling of that, and wants fitting again (see
// CheckFitted). ParseSchema of what JSON writes is the same schema. It fails with *data.Error; where is the file's name.
func ParseSchema(where string, text []byte) (*Schema, error) {
	s := &Schema{Missing: Missing(), Limits: DefaultLimits()}
	var version int
	var columns []json.RawMessage
	err := readObject(text, []field{
		{"schema", &version}, {"name", &s.Name}, {"rows", &s.Rows}, {"training_rows", &s.Training},
		{"missing", &s.Missing}, {"limits", &s.Limits}, {"columns", &columns},
	})
	switch {
	case err != nil:
		return nil, inFile(where, "", text, err)
	case version != schemaVersion:
		return nil, &data.Error{Path: where, Problem: fmt.Sprintf("is not a schema of version %d", schemaVersion), Remedy: fmt.Sprintf(`make one with gpudae data schema, or write "schema": %d`, schemaVersion)}
	}
	s.Columns = make([]Column, len(columns))
	for i, raw := range columns {
		c := &s.Columns[i]
		if err := c.read(raw); err != nil {
			return nil, inFile(where, c.label(i), raw, err)
		}
	}
	if column, err := s.check(); err != nil {
		return nil, inFile(where, column, nil, err)
	}
	return s, nil
}

// label is what a message calls the column.
func (c *Column) label(i int) string {
	if c.Name == "" {
		return fmt.Sprintf("number %d", i+1)
	}
	return c.Name
}

// inFile makes an error about a part of the file, with a line if it is one of syntax.
func inFile(where, column string, text []byte, err error) error {
	e := &data.Error{Path: where, ColumnName: column, Problem: err.Error()}
	if known := (*formError)(nil); errors.As(err, &known) {
		e.Remedy = known.remedy
	}
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		e.Problem, e.Remedy = "is not JSON: "+syntax.Error(), "mend it, or make one with gpudae data schema"
		if column == "" {
			e.Line = 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
		}
	}
	return e
}

// formError is what is wrong with a schema, and how to mend it.
type formError struct{ problem, remedy string }

func (e *formError) Error() string { return e.problem }

func formErrorf(remedy, format string, arguments ...any) error {
	return &formError{fmt.Sprintf(format, arguments...), remedy}
}

// field is a key of an object, and where its value goes: a pointer to int,
// float64, *float64, bool, text, a list of those, or an object.
type field struct {
	key  string
	into any
}

// objectReader is a value that is an object.
type objectReader interface{ read(text []byte) error }

// readObject reads an object of the fields, none of which need be there.
func readObject(text []byte, fields []field) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	start, err := decoder.Token()
	if err != nil {
		return syntaxOf(err, text)
	}
	if start != json.Delim('{') {
		return formErrorf(`write {"key": value, ...}`, "is no JSON object")
	}
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return syntaxOf(err, text)
		}
		key := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return syntaxOf(err, text)
		}
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		switch {
		case i < 0:
			return unknownKey(key, fields)
		case seen[key]:
			return formErrorf("keep one of them", "%q is given twice", key)
		}
		seen[key] = true
		if err := readValue(key, value, fields[i].into); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return syntaxOf(err, text)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return formErrorf("remove it", "there is more after the end of the object")
	}
	return nil
}

// syntaxOf makes the end of a text that is cut off an error of syntax.
func syntaxOf(err error, text []byte) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return formErrorf("write the rest", "is not JSON: it ends too early, after %d bytes", len(text))
	}
	return err
}

func unknownKey(key string, fields []field) error {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	if near := spelling.Nearest(key, keys); near != "" {
		return formErrorf(fmt.Sprintf("did you mean %q?", near), "unknown key %s", shown(key))
	}
	return formErrorf("use one of "+strings.Join(keys, ", "), "unknown key %s", shown(key))
}

func readValue(key string, value json.RawMessage, into any) error {
	if object, ok := into.(objectReader); ok {
		if err := object.read(value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	}
	_, optional := into.(**float64)
	if isNull := string(value) == "null"; isNull && !optional || json.Unmarshal(value, into) != nil {
		return formErrorf("write "+wanted(into), "%q cannot be %s", key, shown(string(value)))
	}
	return nil
}

// wanted names the type of a value.
func wanted(into any) string {
	switch into.(type) {
	case *int:
		return "a whole number"
	case *float64, **float64:
		return "a number"
	case *bool:
		return "true or false"
	case *[]string:
		return `a list of texts like ["a", "b"]`
	case *[]int, *[]float64:
		return "a list of numbers like [1, 2]"
	case *[]json.RawMessage:
		return "a list of objects"
	}
	return "a text"
}

func (l *Limits) read(text []byte) error {
	return readObject(text, []field{{"values", &l.Values}, {"categories", &l.Categories}, {"min_count", &l.MinCount}, {"knots", &l.Knots}})
}

func (c *Column) read(text []byte) error {
	c.Weight, c.Type = 1, data.Text
	var bounds Bounds
	var fit Fit
	bounded, fitted := optionalObject{to: &bounds}, optionalObject{to: &fit}
	err := readObject(text, []field{
		{"name", &c.Name}, {"kind", (*string)(&c.Kind)}, {"reason", (*string)(&c.Reason)}, {"type", (*string)(&c.Type)},
		{"scaling", (*string)(&c.Scaling)}, {"weight", &c.Weight}, {"bounds", &bounded}, {"missing", &c.Missing}, {"format", &c.Format}, {"fit", &fitted},
	})
	if bounded.given {
		c.Bounds = &bounds
	}
	if fitted.given {
		c.Fit = &fit
		c.forget()
	}
	if c.Scaling == "" && c.Kind.scaled() {
		c.Scaling = Standard
	}
	if c.Reason == "" && c.Kind == Drop {
		c.Reason = ReasonUser
	}
	return err
}

// forget drops what was measured or chosen for the kind that the column was
// fitted as, where a person has changed the kind and nothing else.
func (c *Column) forget() {
	if c.Fit.Kind == c.Kind {
		return
	}
	c.Format = ""
	if !c.Kind.scaled() {
		c.Scaling = ""
	}
	if c.Kind != Drop {
		c.Reason = ""
	}
}

// optionalObject remembers whether an object is there.
type optionalObject struct {
	to    objectReader
	given bool
}

func (o *optionalObject) read(text []byte) error {
	o.given = true
	return o.to.read(text)
}

func (b *Bounds) read(text []byte) error {
	return readObject(text, []field{{"low", &b.Low}, {"high", &b.High}})
}

func (f *Fit) read(text []byte) error {
	var quantiles Quantiles
	knots := optionalObject{to: &quantiles}
	err := readObject(text, []field{
		{"kind", (*string)(&f.Kind)}, {"present", &f.Present}, {"absent", &f.Absent}, {"distinct", &f.Distinct}, {"estimated", &f.Estimated},
		{"entropy", &f.Entropy}, {"collision", &f.Collision},
		{"mean", &f.Mean}, {"deviation", &f.Deviation}, {"low", &f.Low}, {"high", &f.High}, {"quantiles", &knots},
		{"categories", &f.Categories}, {"counts", &f.Counts}, {"unknown", &f.Unknown},
	})
	if knots.given {
		f.Quantiles = &quantiles
	}
	return err
}

func (q *Quantiles) read(text []byte) error {
	return readObject(text, []field{{"mean", &q.Mean}, {"deviation", &q.Deviation}, {"values", &q.Values}, {"scores", &q.Scores}})
}

// check checks that the schema fits together, and names the column that does not.
func (s *Schema) check() (column string, err error) {
	if s.Rows < 0 || s.Training < 0 || s.Training > s.Rows {
		return "", formErrorf("give what the data have", "%d training rows of %d rows", s.Training, s.Rows)
	}
	if problem, remedy := s.Limits.Check(); problem != "" {
		return "", &formError{problem, remedy}
	}
	if len(s.Columns) == 0 {
		return "", formErrorf(`describe them: "columns": [{"name": "age", "kind": "numeric"}, ...]`, "there are no columns")
	}
	seen := map[string]bool{}
	for i := range s.Columns {
		c := &s.Columns[i]
		if seen[c.Name] {
			return c.label(i), formErrorf("name each column once", "is described twice")
		}
		seen[c.Name] = true
		if err := c.check(); err != nil {
			return c.label(i), err
		}
	}
	return "", nil
}

// Check says what is wrong with the limits, if anything is, and how to mend it.
func (l Limits) Check() (problem, remedy string) {
	for _, c := range []struct {
		name            string
		value, from, to int
	}{{"values", l.Values, 2, maxValues}, {"categories", l.Categories, 1, maxCategories}, {"min_count", l.MinCount, 1, math.MaxInt32}, {"knots", l.Knots, 2, maxKnots}} {
		if c.value < c.from || c.value > c.to {
			return fmt.Sprintf("a limit of %d %s", c.value, c.name), fmt.Sprintf("choose %d to %d", c.from, c.to)
		}
	}
	return "", ""
}

// oneOf refuses a word that is not in a list.
func oneOf[T ~string](key string, word T, list []T) error {
	if slices.Contains(list, word) {
		return nil
	}
	names := make([]string, len(list))
	for i, name := range list {
		names[i] = string(name)
	}
	remedy := "use one of " + strings.Join(names, ", ")
	if near := spelling.Nearest(string(word), names); near != "" {
		remedy = fmt.Sprintf("did you mean %q? %s", near, remedy)
	}
	return formErrorf(remedy, "unknown %s %s", key, shown(string(word)))
}

func (c *Column) check() error {
	if err := oneOf("kind", c.Kind, Kinds()); err != nil {
		return err
	}
	if err := oneOf("type", c.Type, []data.CellType{data.Text, data.Number, data.Integer, data.Boolean, data.Time}); err != nil {
		return err
	}
	switch {
	case c.Kind == Drop:
		if err := oneOf("reason", c.Reason, reasons()); err != nil {
			return err
		}
	case c.Reason != "":
		return formErrorf(`remove "reason", or set the kind drop`, "is not dropped, but has the reason %s", shown(string(c.Reason)))
	}
	switch {
	case c.Kind.scaled():
		if err := oneOf("scaling", c.Scaling, Scalings()); err != nil {
			return err
		}
		if c.Kind == Time && c.Scaling == None {
			return formErrorf("use standard, min-max or gauss-rank", "float32 has too few digits for seconds since 1970 that are not scaled")
		}
	case c.Scaling != "" && c.Kind != Drop:
		return formErrorf(`remove "scaling"`, "is %s, which has no scaling", c.Kind)
	}
	if !(c.Weight >= 0) || math.IsInf(c.Weight, 0) {
		return formErrorf("choose 0 or more", "a weight of %v", c.Weight)
	}
	if err := c.checkFormat(); err != nil {
		return err
	}
	if b := c.Bounds; b != nil && b.Low != nil && b.High != nil && *b.Low > *b.High {
		return formErrorf("exchange them", "its lower bound %g is above the upper one, %g", *b.Low, *b.High)
	}
	if b := c.Bounds; b != nil && b.Low != nil && b.High != nil && c.Kind == Integer && math.Ceil(*b.Low) > math.Floor(*b.High) {
		return formErrorf("set them apart", "there is no whole number from its lower bound %g to %g", *b.Low, *b.High)
	}
	if c.Fit != nil {
		return c.Fit.check()
	}
	return nil
}

func (c *Column) checkFormat() error {
	if c.Format == "" {
		return nil
	}
	switch {
	case c.Kind == Time:
		if _, ok := parseTimeFormat(c.Format); !ok {
			return formErrorf(`write one like "YYYY-MM-DD" or "YYYY-MM-DD hh:mm:ss"`, "unknown format %s of times", shown(c.Format))
		}
	case c.Kind.scaled():
		if _, ok := parseNumberFormat(c.Format); !ok {
			return formErrorf(`write "0", "0.00" (decimals), "0.##" (at most), or "e"`, "unknown format %s of numbers", shown(c.Format))
		}
	}
	return nil
}

// remeasure is the remedy of a fit that nobody wrote by hand.
const remeasure = `remove its "fit" and fit the schema again: gpudae data schema DATA --schema FILE -o FILE`

func (f *Fit) check() error {
	if err := oneOf("kind of fit", f.Kind, Kinds()); err != nil {
		return err
	}
	numbers := []float64{f.Entropy, f.Collision, f.Mean, f.Deviation, f.Low, f.High}
	switch {
	case f.Present < 0 || f.Absent < 0 || f.Distinct < 0 || f.Unknown < 0:
		return formErrorf(remeasure, "a count is negative")
	case slices.ContainsFunc(numbers, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }):
		return formErrorf(remeasure, "a number is not finite")
	case f.Deviation < 0 || f.Low > f.High || f.Entropy < 0 || f.Collision < 0:
		return formErrorf(remeasure, "its statistics do not fit together")
	case !f.Kind.scaled() && (f.Quantiles != nil || f.Mean != 0 || f.Deviation != 0 || f.Low != 0 || f.High != 0):
		return formErrorf(remeasure, "was fitted as %s, and has statistics of numbers", f.Kind)
	}
	if f.Quantiles != nil {
		if err := f.Quantiles.check(); err != nil {
			return err
		}
	}
	return f.checkCategories()
}

func (q *Quantiles) check() error {
	for _, list := range [][]float64{q.Values, q.Scores} {
		if len(list) == 0 || len(list) > 2*maxKnots || len(list) != len(q.Values) {
			return formErrorf(remeasure, "%d values and %d scores of a gauss-rank scaling", len(q.Values), len(q.Scores))
		}
		for i, v := range list {
			if i > 0 && !(v > list[i-1]) {
				return formErrorf(remeasure, "the knots of its gauss-rank scaling do not increase")
			}
		}
	}
	return nil
}

func (f *Fit) checkCategories() error {
	n := len(f.Categories)
	switch {
	case f.Kind == Binary && n != 2, f.Kind == Categorical && (n < 1 || n > maxCategories), f.Kind != Binary && f.Kind != Categorical && n != 0, len(f.Counts) != n:
		return formErrorf(remeasure, "was fitted as %s, and has %d categories with %d counts", f.Kind, n, len(f.Counts))
	case f.Kind != Categorical && f.Unknown != 0:
		return formErrorf(remeasure, "was fitted as %s, and has cells of no category", f.Kind)
	}
	seen := make(map[string]bool, n)
	for i, category := range f.Categories {
		switch {
		case seen[category]:
			return formErrorf("keep one of them", "the category %s is there twice", shown(category))
		case category != strings.TrimSpace(category) || !utf8.ValidString(category):
			return formErrorf("remove the blanks", "the category %s can be no cell", shown(category))
		case f.Counts[i] < 0:
			return formErrorf(remeasure, "a count is negative")
		}
		seen[category] = true
	}
	return nil
}

// JSON writes the schema for people to edit: the choices of a column in a line,
// its fit in the next.
func (s *Schema) JSON() []byte {
	b := &builder{}
	b.open("{\n  ")
	b.value("schema", schemaVersion)
	b.value("name", s.Name)
	b.next("\n  ")
	b.value("rows", s.Rows)
	b.value("training_rows", s.Training)
	b.next("\n  ")
	b.value("missing", listOf(s.Missing))
	b.next("\n  ")
	l := s.Limits
	b.value("limits", map[string]int{"values": l.Values, "categories": l.Categories, "min_count": l.MinCount, "knots": l.Knots})
	b.next("\n  ")
	b.key("columns")
	b.open("[\n    ")
	for i := range s.Columns {
		s.Columns[i].write(b)
		b.next("\n    ")
	}
	b.close("\n  ]")
	b.close("\n}\n")
	return b.text.Bytes()
}

// listOf makes no texts an empty list.
func listOf(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

func (c *Column) write(b *builder) {
	b.open("{")
	b.value("name", c.Name)
	b.value("kind", c.Kind)
	b.optional("reason", c.Reason, c.Kind == Drop)
	b.value("type", c.Type)
	b.optional("scaling", c.Scaling, c.Scaling != "")
	b.value("weight", c.Weight)
	b.optional("format", c.Format, c.Format != "")
	b.optional("missing", c.Missing, c.Missing != nil)
	if c.Bounds != nil {
		b.key("bounds")
		b.open("{")
		b.value("low", c.Bounds.Low)
		b.value("high", c.Bounds.High)
		b.close("}")
	}
	if c.Fit != nil {
		b.next("\n     ")
		c.Fit.write(b)
	}
	b.close("}")
}

func (f *Fit) write(b *builder) {
	numbers, categories := f.Kind.scaled(), f.Kind == Binary || f.Kind == Categorical
	b.key("fit")
	b.open("{")
	b.value("kind", f.Kind)
	b.value("present", f.Present)
	b.value("absent", f.Absent)
	b.value("distinct", f.Distinct)
	b.optional("estimated", true, f.Estimated)
	b.value("entropy", f.Entropy)
	b.value("collision", f.Collision)
	b.optional("mean", f.Mean, numbers)
	b.optional("deviation", f.Deviation, numbers)
	b.optional("low", f.Low, numbers)
	b.optional("high", f.High, numbers)
	b.optional("categories", f.Categories, categories)
	b.optional("counts", f.Counts, categories)
	b.optional("unknown", f.Unknown, f.Unknown > 0)
	if q := f.Quantiles; q != nil {
		b.key("quantiles")
		b.open("{")
		b.value("mean", q.Mean)
		b.value("deviation", q.Deviation)
		b.value("values", q.Values)
		b.value("scores", q.Scores)
		b.close("}")
	}
	b.close("}")
}

// builder writes JSON with line breaks of our choice.
type builder struct {
	text    bytes.Buffer
	pending string // what goes before the next item
}

func (b *builder) open(s string)  { b.text.WriteString(b.take() + s); b.pending = "" }
func (b *builder) close(s string) { b.text.WriteString(s); b.pending = ", " }

// next breaks the line before the next item.
func (b *builder) next(s string) { b.pending = "," + s }

func (b *builder) take() string {
	s := b.pending
	b.pending = ", "
	return s
}

func (b *builder) key(key string) {
	b.text.WriteString(b.take() + `"` + key + `": `)
	b.pending = ""
}

func (b *builder) value(key string, v any) {
	b.key(key)
	encoder := json.NewEncoder(&b.text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(fmt.Sprintf("table: writing %s: %v", key, err)) // a number that is not finite, which no schema has
	}
	b.text.Truncate(b.text.Len() - 1) // the line break
	b.pending = ", "
}

func (b *builder) optional(key string, v any, there bool) {
	if there {
		b.value(key, v)
	}
}
