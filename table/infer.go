package table

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"gpudae/data"
)

// Options are the choices of Infer. The zero Options are right for most tables.
type Options struct {
	// Schema gives the choices: its columns are fitted as they are described there,
	// and no others. nil: what the cells look like.
	Schema *Schema
	// Training says which rows the statistics are of; nil: all rows.
	Training func(row int) bool
	Missing  []string // without a Schema; nil: Missing()
	Scaling  Scaling  // of numbers, without a Schema; "": Standard
	Limits   Limits   // without a Schema; the zero Limits: DefaultLimits()
	Threads  int      // 0: all processors
}

// Infer reads the frame from its start and returns its schema, fitted, and what should be
// known of it. Of a text column it finds out whether all its cells are numbers
// or times; if that turns out wrong late, the frame is read again for it. Its
// memory is bounded by column. It fails with *data.Error or the context's error.
//
// Without a Schema: a column of texts that are all numbers is Numeric or Integer
// (zeros before a number make it a word), of times Time; of two different values
// Binary, of other words Categorical. Columns with one value, and identifiers
// (texts of which more than 90 % are different, whole numbers that count the
// rows), are dropped.
func Infer(ctx context.Context, frame data.Frame, o Options) (*Schema, []Notice, error) {
	in, err := newInference(frame.Info(), o)
	if err != nil {
		return nil, nil, err
	}
	if err := frame.Rewind(); err != nil {
		return nil, nil, err
	}
	if err := in.pass(ctx, frame, in.tallies); err != nil {
		return nil, nil, err
	}
	var again []*tally
	for _, t := range in.tallies {
		if t.late {
			t.restart()
			again = append(again, t)
		}
	}
	if len(again) > 0 {
		if err := frame.Rewind(); err != nil {
			return nil, nil, err
		}
		if err := in.pass(ctx, frame, again); err != nil {
			return nil, nil, err
		}
	}
	return in.finish()
}

// inference is one call of Infer.
type inference struct {
	Options
	info    data.FrameInfo
	schema  *Schema
	tallies []*tally // of each column of the schema that is in the frame and not dropped
	notices []Notice
}

func newInference(info data.FrameInfo, o Options) (*inference, error) {
	in := &inference{Options: o, info: info}
	if in.Scaling == "" {
		in.Scaling = Standard
	}
	places, err := columnPlaces(info)
	if err != nil {
		return nil, err
	}
	if o.Schema != nil {
		in.schema = o.Schema.clone()
		return in, in.startGiven(places)
	}
	in.schema = &Schema{Missing: o.Missing, Limits: o.Limits}
	if in.schema.Missing == nil {
		in.schema.Missing = Missing()
	}
	if in.schema.Limits == (Limits{}) {
		in.schema.Limits = DefaultLimits()
	}
	in.schema.Columns = make([]Column, len(info.Columns))
	for i, c := range info.Columns {
		in.schema.Columns[i] = Column{Name: c.Name, Type: c.Type, Weight: 1}
		in.tallies = append(in.tallies, in.newTally(&in.schema.Columns[i], i))
	}
	return in, nil
}

// startGiven starts the tallies of a schema's columns.
func (in *inference) startGiven(places map[string]int) error {
	in.leaveOut()
	for i := range in.schema.Columns {
		c := &in.schema.Columns[i]
		place, found := places[c.Name]
		if found {
			c.Type = in.info.Columns[place].Type
		}
		if c.Kind == Drop {
			continue
		}
		if !found {
			return &data.Error{Path: source(in.info), ColumnName: c.Name, Problem: "is in the schema, but not in the data", Remedy: "drop it in the schema, or name a column so"}
		}
		if problem := cannotBe(c.Type, c.Kind); problem != "" {
			return &data.Error{Path: source(in.info), Column: place + 1, ColumnName: c.Name, Problem: problem, Remedy: "change the kind in the schema"}
		}
		in.tallies = append(in.tallies, in.newTally(c, place))
	}
	return nil
}

// leaveOut adds the columns that the given schema does not have, as dropped.
func (in *inference) leaveOut() {
	for _, name := range in.schema.extra(in.info) {
		in.notices = append(in.notices, Notice{name, "is not in the schema and is left out"})
		in.schema.Columns = append(in.schema.Columns, Column{Name: name, Kind: Drop, Reason: ReasonUser, Type: data.Text, Weight: 1})
	}
}

// source is what messages call the data.
func source(info data.FrameInfo) string {
	if info.Path != "" {
		return info.Path
	}
	return info.Name
}

// columnPlaces maps the names of columns to their places, and refuses a name
// that two columns have.
func columnPlaces(info data.FrameInfo) (map[string]int, error) {
	places := make(map[string]int, len(info.Columns))
	for i, c := range info.Columns {
		if !utf8.ValidString(c.Name) {
			return nil, &data.Error{Path: source(info), Column: i + 1, Problem: "its name is not UTF-8", Remedy: "save the file as UTF-8"}
		}
		if before, twice := places[c.Name]; twice {
			return nil, &data.Error{Path: source(info), Column: i + 1, ColumnName: c.Name, Problem: fmt.Sprintf("has the name of column %d", before+1), Remedy: "rename one of the two"}
		}
		places[c.Name] = i
	}
	return places, nil
}

// pass adds all rows to the tallies.
func (in *inference) pass(ctx context.Context, frame data.Frame, tallies []*tally) error {
	var training []bool
	fitted := 0
	rows, err := eachBlock(ctx, frame, func(from int, cells *data.Cells) error {
		training = training[:0]
		for i := range cells.Rows {
			fits := in.Training == nil || in.Training(from+i)
			training = append(training, fits)
			if fits {
				fitted++
			}
		}
		return inParallel(threadsOf(in.Threads), len(tallies), func(i int) error {
			t := tallies[i]
			if err := t.add(&cells.Columns[t.place], from, training); err != nil {
				return in.cellError(t, err)
			}
			return nil
		})
	})
	in.schema.Rows, in.schema.Training = rows, fitted
	return err
}

// cellError completes an error about a cell.
func (in *inference) cellError(t *tally, err *cellError) error {
	return err.located(source(in.info), t.place, t.column.Name)
}

// cellError is a cell that a column cannot hold.
type cellError struct {
	row             int // from 0
	problem, remedy string
}

func (e *cellError) located(path string, place int, name string) *data.Error {
	return &data.Error{Path: path, Row: e.row + 1, Column: place + 1, ColumnName: name, Problem: e.problem, Remedy: e.remedy}
}

// finish makes the schema of the tallies.
func (in *inference) finish() (*Schema, []Notice, error) {
	if in.schema.Rows == 0 {
		return nil, nil, &data.Error{Path: source(in.info), Problem: "has no rows", Remedy: "give at least one"}
	}
	if in.schema.Training == 0 {
		return nil, nil, &data.Error{Path: source(in.info), Problem: "has no rows to fit the schema on", Remedy: "leave more rows for training"}
	}
	in.schema.Name = in.info.Name
	for _, t := range in.tallies {
		notices, err := t.finish(in.schema.Rows)
		if err != nil {
			return nil, nil, in.cellError(t, err)
		}
		for _, text := range notices {
			in.notices = append(in.notices, Notice{t.column.Name, text})
		}
	}
	return in.schema, in.notices, nil
}

// mode is what the cells of a column have been so far.
type mode uint8

const (
	modeNone mode = iota
	modeNumber
	modeTime
	modeText
)

// tally gathers what there is to know of a column.
type tally struct {
	column  *Column // what is given; finish completes it
	place   int     // in the frame
	limits  Limits
	scaling Scaling // of numbers whose scaling is not given
	missing *markers
	given   bool // whether the kind is
	mode    mode
	late    bool // whether a column of numbers or times was none, after its texts were given up

	absent, present, training int // missing cells, others, and those of training rows
	values                    *valueTally
	moments                   moments
	texts                     *textTally
	block                     []float64 // numbers of the training rows of a block

	notation   notation   // the most decimals, any exponent
	least      int        // decimals
	fractional bool       // whether a number is not whole, or a float64 of its size never is anything else
	inexact    bool       // whether a whole number is beyond 2^53
	infinite   *cellError // the first such cell, if the column is not given
	garbled    *cellError // the first text that is not UTF-8
	format     timeFormat
	counting   bool    // whether each number is the one before and step
	last, step float64 // of the numbers so far
	stray      string  // the cell that made a column of numbers or times one of words
}

func (in *inference) newTally(c *Column, place int) *tally {
	t := &tally{column: c, place: place, limits: in.schema.Limits, scaling: in.Scaling, missing: newMarkers(in.schema.markers(c)), given: c.Kind != ""}
	if in.info.Format == "parquet" || in.info.Format == "arrow" { // which have types: a text there is meant as one
		if c.Type == data.Text && !t.given {
			t.mode = modeText
		}
	}
	t.begin()
	return t
}

// begin sets what the column starts with.
func (t *tally) begin() {
	switch {
	case t.column.Kind == Time:
		t.mode = modeTime
	case t.column.Kind.scaled():
		t.mode = modeNumber
	case t.given || t.column.Type == data.Boolean:
		t.mode = modeText
	case t.column.Type == data.Number || t.column.Type == data.Integer:
		t.mode = modeNumber
	case t.column.Type == data.Time:
		t.mode = modeTime
	}
	t.counting, t.least = true, math.MaxInt
	if t.mode != modeText {
		t.values = &valueTally{limit: t.limits.Values}
		if t.column.Scaling == GaussRank || t.column.Scaling == "" && t.scaling == GaussRank {
			t.values.sketch = new(quantileSketch)
		}
	}
	if t.mode == modeText || t.mode == modeNone {
		t.texts = newTextTally(mostTexts)
	}
}

// restart begins again with a column that is known to be one of words.
func (t *tally) restart() {
	*t = tally{column: t.column, place: t.place, limits: t.limits, scaling: t.scaling, missing: t.missing, given: t.given, mode: modeText, stray: t.stray}
	t.begin()
}

// textsKept is the number of cells of a column of numbers whose texts are kept,
// in case that it turns out to be one of words.
const textsKept = 1 << 13

// add takes the cells of a block.
func (t *tally) add(v *data.Values, from int, training []bool) *cellError {
	t.block = t.block[:0]
	for row := range training {
		if t.late {
			return nil
		}
		var err *cellError
		if v.Text != nil {
			err = t.addText(v, row, training[row])
		} else {
			err = t.addTyped(v, row, training[row])
		}
		if err != nil {
			err.row += from + row
			return err
		}
	}
	t.moments.add(t.block)
	return nil
}

// isPresent counts a cell.
func (t *tally) isPresent(absent, training bool) bool {
	if absent {
		t.absent++
		return false
	}
	t.present++
	if training {
		t.training++
	}
	return true
}

func (t *tally) addTyped(v *data.Values, row int, training bool) *cellError {
	if !t.isPresent(v.IsAbsent(row) || v.Numbers != nil && math.IsNaN(v.Numbers[row]), training) {
		return nil
	}
	if t.mode == modeText {
		t.texts.add(textOf(v, row), training)
		return nil
	}
	x := number(v, row)
	if math.Abs(x) > greatest {
		return infiniteCell(textOf(v, row))
	}
	if v.Integers != nil && (v.Integers[row] > maxExactInteger || v.Integers[row] < -maxExactInteger) {
		t.inexact = true
	}
	t.addNumber(x, training)
	return nil
}

// greatest bounds the numbers that a column may hold, whose squares are summed.
const greatest = 1e150

func infiniteCell(cell string) *cellError {
	return &cellError{problem: fmt.Sprintf("%s is infinite, or as good as that", cell), remedy: "replace it, leave it empty, or list it as missing in the schema"}
}

func (t *tally) addText(v *data.Values, row int, training bool) *cellError {
	cell := trimmed(v.Text[row])
	if !t.isPresent(v.IsAbsent(row) || t.missing.has(cell), training) {
		return nil
	}
	if t.texts != nil && t.texts.add(cell, training) && t.garbled == nil && !utf8.ValidString(cell) {
		t.garbled = &cellError{row: t.absent + t.present - 1, problem: "the text is not UTF-8", remedy: "save the file as UTF-8"}
	}
	if t.mode == modeText {
		return nil
	}
	if t.mode != modeTime {
		if x, how, ok := parseNumber(cell); ok && (t.given || !how.padded) && math.Abs(x) <= greatest {
			t.mode = modeNumber
			t.spell(x, how)
			t.addNumber(x, training)
			t.forgetTexts()
			return nil
		} else if ok && math.Abs(x) > greatest || isInfinity(cell) {
			return t.addInfinite(cell)
		}
	}
	if t.mode != modeNumber {
		if seconds, nanoseconds, format, ok := parseTime(cell); ok {
			if t.mode == modeNone {
				t.mode, t.format = modeTime, format
			}
			t.format = t.format.with(format)
			t.addNumber(float64(seconds)+float64(nanoseconds)/1e9, training)
			t.forgetTexts()
			return nil
		}
	}
	return t.addStray(cell)
}

// addInfinite remembers the first infinite number, which is an error if the
// column is one of numbers.
func (t *tally) addInfinite(cell string) *cellError {
	if t.given {
		return infiniteCell(cell)
	}
	if t.infinite == nil {
		t.infinite = infiniteCell(cell)
		t.infinite.row = t.absent + t.present - 1
	}
	return nil
}

// addStray meets a cell that is not what the column was so far.
func (t *tally) addStray(cell string) *cellError {
	if t.given {
		return strayCell(cell, t.column.Kind)
	}
	if t.mode != modeNone {
		t.stray = cell
	}
	t.mode = modeText
	t.late = t.texts == nil
	t.values, t.block = nil, t.block[:0]
	return nil
}

func strayCell(cell string, kind Kind) *cellError {
	what := "a number"
	if kind == Time {
		what = "a date or a time"
	}
	return &cellError{problem: fmt.Sprintf("%s is not %s", shown(cell), what), remedy: "correct it, or list it as missing in the schema"}
}

// forgetTexts gives the texts of a column of numbers up once there are many.
func (t *tally) forgetTexts() {
	const few = 2 // values, whose spelling is wanted
	if t.texts != nil && t.present >= textsKept && len(t.values.counts) > few {
		t.texts = nil
	}
}

// spell learns how the column's numbers are written.
func (t *tally) spell(x float64, how notation) {
	t.notation.decimals = max(t.notation.decimals, how.decimals)
	t.notation.exponent = t.notation.exponent || how.exponent
	t.least = min(t.least, how.decimals)
	switch {
	case math.Abs(x) < maxExactInteger:
	case how.exponent:
		t.fractional = true // a magnitude, which only looks whole
	default:
		t.inexact = true
	}
}

func (t *tally) addNumber(x float64, training bool) {
	if x != math.Trunc(x) {
		t.fractional = true
	}
	if t.present == 2 {
		t.step = x - t.last
	}
	t.counting = t.counting && (t.present == 1 || t.step != 0 && x-t.last == t.step)
	t.last = x
	t.values.add(x, training)
	if training {
		t.block = append(t.block, x)
	}
}

// trimmed is the cell without blanks around it.
func trimmed(cell string) string {
	if cell == "" || cell[0] > ' ' && cell[0] < 0x80 && cell[len(cell)-1] > ' ' && cell[len(cell)-1] < 0x80 {
		return cell
	}
	return strings.TrimSpace(cell)
}

// finish completes the column and says what should be known of it.
func (t *tally) finish(rows int) ([]string, *cellError) {
	c := t.column
	c.Fit = &Fit{Absent: t.absent, Present: t.training}
	if t.training == 0 {
		return t.drop(ReasonEmpty, "every cell is missing"), nil
	}
	if t.mode == modeText {
		notices := append(t.finishTexts(), t.commaNotice()...)
		if c.Kind != Drop && t.garbled != nil {
			return nil, t.garbled
		}
		return notices, nil
	}
	if t.infinite != nil {
		return nil, t.infinite
	}
	return t.finishNumbers(rows), nil
}

func (t *tally) drop(reason Reason, why string) []string {
	c := t.column
	c.Kind, c.Reason, c.Scaling, c.Format = Drop, reason, "", ""
	c.Fit = &Fit{Kind: Drop, Present: t.training, Absent: t.absent, Distinct: c.Fit.Distinct, Estimated: c.Fit.Estimated}
	return []string{fmt.Sprintf("dropped: %s", why)}
}

// identifiers have at least this part of their texts different, in at least so
// many cells.
const (
	identifierShare = 0.9
	identifierCells = 10
)

func (t *tally) finishTexts() (notices []string) {
	c, f := t.column, t.column.Fit
	f.Distinct, f.Estimated = t.texts.distinct()
	if pair, counts, ok := pairOf(t.texts); ok && c.Kind != Categorical {
		t.setBinary(pair, counts)
		return nil
	}
	if c.Kind == Binary {
		return t.drop(ReasonConstant, fmt.Sprintf("it has %d different values, and is to be binary", f.Distinct))
	}
	if !t.given {
		switch {
		case f.Distinct == 1:
			return t.drop(ReasonConstant, fmt.Sprintf("every cell is %s", shown(t.texts.texts[0])))
		case t.present >= identifierCells && float64(f.Distinct) > identifierShare*float64(t.present):
			return t.drop(ReasonIdentifier, fmt.Sprintf("%d different texts in %d cells", f.Distinct, t.present))
		}
	}
	categories, counts := t.texts.common(t.limits.MinCount, t.limits.Categories)
	if len(categories) == 0 {
		why := fmt.Sprintf("no text is in %d training rows", t.limits.MinCount)
		if f.Estimated {
			why = fmt.Sprintf("about %d different texts, none of which is more common than the others", f.Distinct)
		}
		return t.drop(ReasonIdentifier, why)
	}
	c.Kind = Categorical
	f.Kind, f.Categories, f.Counts = Categorical, categories, counts
	f.Unknown = t.training - sum(counts)
	f.Entropy, f.Collision = spread(append(slices.Clone(counts), f.Unknown), 0, 0)
	if f.Unknown > 0 {
		notices = append(notices, fmt.Sprintf("%d of its %d different texts (%.2g %% of the cells) are rare and taken as unknown",
			f.Distinct-len(categories), f.Distinct, 100*float64(f.Unknown)/float64(t.training)))
	}
	return append(notices, t.strayNotice(categories, counts)...)
}

// mostOfCells is the part of a column's cells that says what the others should be.
const mostOfCells = 0.8

// strayNotice tells of words among numbers, which may mean that there is none.
func (t *tally) strayNotice(categories []string, counts []int) []string {
	if t.given {
		return nil
	}
	numbers, word := 0, t.stray
	for i, category := range categories {
		if isNumber(category) {
			numbers += counts[i]
		} else if word == "" {
			word = category
		}
	}
	if word == "" || isCommaNumber(word) || float64(numbers) < mostOfCells*float64(sum(counts)) {
		return nil
	}
	return []string{fmt.Sprintf("most cells are numbers, but not %s; if it stands for a missing value, list it as missing", shown(word))}
}

// commaNotice tells of numbers that are read as words for the commas in them.
func (t *tally) commaNotice() []string {
	if t.given {
		return nil
	}
	numbers, all, example := 0, 0, ""
	for i, text := range t.texts.texts {
		all += t.texts.all[i]
		if isCommaNumber(text) {
			numbers += t.texts.all[i]
			example = text
		} else if isNumber(text) {
			numbers += t.texts.all[i]
		}
	}
	if example == "" || float64(numbers) < mostOfCells*float64(all) {
		return nil
	}
	return []string{fmt.Sprintf("most cells are numbers, but with commas, as in %s, and so taken for words; write decimals with a point, and thousands without separators", shown(example))}
}

// isNumber recognises numbers without zeros before them.
func isNumber(text string) bool {
	_, how, ok := parseNumber(text)
	return ok && !how.padded
}

// isCommaNumber recognises numbers with a comma before the decimals or between
// thousands: 0,5, 1.234,50, 1,234.50 and 1,234,567.
func isCommaNumber(text string) bool {
	groups := strings.Split(text, ",")
	plain := strings.Join(groups, "")
	switch {
	case len(groups) == 1:
		return false
	case len(groups) == 2 && strings.Contains(groups[0], "."):
		plain = strings.ReplaceAll(plain, ".", "")
	case len(groups) > 2:
		for _, group := range groups[1:] {
			if whole, _, _ := strings.Cut(group, "."); len(whole) != 3 {
				return false
			}
		}
	}
	_, _, ok := parseNumber(plain)
	return ok
}

// pairOf returns the two values of a binary column, the one that is 0 first, in
// their most common spelling: numbers in their order, the words of a boolean with
// false first, other texts in alphabetical order.
func pairOf(texts *textTally) (pair []string, counts []int, ok bool) {
	const mostSpellings = 64
	if n, estimated := texts.distinct(); estimated || n < 2 || n > mostSpellings {
		return nil, nil, false
	}
	for _, key := range []func(string) string{numberKey, wordKey, func(s string) string { return s }} {
		if pair, counts, ok = grouped(texts, key); ok {
			break
		}
	}
	if !ok {
		return nil, nil, false
	}
	x, _, numbers := parseNumber(pair[0])
	y, _, both := parseNumber(pair[1])
	swap := pair[0] > pair[1]
	switch {
	case numbers && both:
		swap = x > y
	case wordKey(pair[0]) != "" && wordKey(pair[1]) != "":
		swap = wordKey(pair[0]) == "true"
	}
	if swap {
		slices.Reverse(pair)
		slices.Reverse(counts)
	}
	return pair, counts, true
}

// grouped divides the texts by a key, if every one has a key and there are two.
func grouped(texts *textTally, key func(string) string) (pair []string, counts []int, ok bool) {
	var keys []string
	var most []int // cells of the most common spelling
	for n, text := range texts.texts {
		k := key(text)
		if k == "" {
			return nil, nil, false
		}
		i := slices.Index(keys, k)
		if i < 0 {
			i = len(keys)
			keys, pair, counts, most = append(keys, k), append(pair, text), append(counts, 0), append(most, 0)
		}
		counts[i] += texts.counts[n]
		if texts.all[n] > most[i] {
			most[i], pair[i] = texts.all[n], text
		}
	}
	return pair, counts, len(pair) == 2
}

func (t *tally) setBinary(pair []string, counts []int) {
	c, f := t.column, t.column.Fit
	c.Kind, c.Scaling, c.Format = Binary, "", ""
	f.Kind, f.Categories, f.Counts = Binary, pair, counts
	f.Distinct, f.Estimated = len(pair), false
	f.Entropy, f.Collision = spread(counts, 0, 0)
}

func sum(counts []int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

func (t *tally) finishNumbers(rows int) (notices []string) {
	c, f, m := t.column, t.column.Fit, &t.moments
	f.Distinct, f.Estimated = t.values.distinct()
	if !t.given {
		if f.Distinct == 1 {
			return t.drop(ReasonConstant, "every cell has the same value")
		}
		if why := t.counts(); why != "" {
			return t.drop(ReasonIdentifier, why)
		}
		if f.Distinct == 2 && t.mode == modeNumber {
			t.setBinary(t.pair())
			return nil
		}
		if c.Scaling = t.scaling; c.Scaling == None && t.mode == modeTime {
			c.Scaling = Standard // float32 has too few digits for seconds since 1970
		}
	}
	t.setNumberKind()
	f.Kind, f.Mean, f.Deviation, f.Low, f.High = c.Kind, m.mean, m.deviation(), m.low, m.high
	f.Entropy, f.Collision = spread(t.values.counts, t.values.rest, f.Distinct-len(t.values.counts))
	if c.Scaling == GaussRank {
		f.Quantiles = t.quantiles()
	}
	if t.inexact {
		notices = append(notices, "whole numbers beyond 2^53 are rounded")
	}
	return notices
}

// setNumberKind sets the kind and the format where they are not given.
func (t *tally) setNumberKind() {
	c := t.column
	if !t.given {
		switch {
		case t.mode == modeTime:
			c.Kind = Time
		case t.fractional:
			c.Kind = Numeric
		default:
			c.Kind = Integer
		}
	}
	if c.Format != "" || c.Type != data.Text {
		return
	}
	switch {
	case t.mode == modeTime:
		c.Format = t.format.String()
	case t.notation.exponent:
		c.Format = "e"
	default:
		most := decimalsOf(t.moments.low, t.moments.high, min(t.notation.decimals, maxDecimals))
		c.Format = numberFormat{decimals: most, fixed: t.least == t.notation.decimals}.String()
	}
}

// counts says how whole numbers or times count the rows, if they do.
func (t *tally) counts() string {
	distinct, estimated := t.values.distinct()
	if t.fractional || t.mode != modeNumber || t.present < identifierCells {
		return ""
	}
	const estimatedShare = 0.95
	all := distinct == t.present || estimated && float64(distinct) >= estimatedShare*float64(t.present)
	switch {
	case t.counting:
		return fmt.Sprintf("its numbers count the rows in steps of %g", t.step)
	case all && t.training == t.present && t.moments.high-t.moments.low == float64(t.present-1):
		return "its numbers count the rows in another order"
	case all && t.inexact:
		return "its numbers are all different, and beyond 2^53"
	}
	return ""
}

// pair is the two values of a column of numbers.
func (t *tally) pair() (texts []string, counts []int) {
	if t.texts != nil {
		if texts, counts, ok := pairOf(t.texts); ok {
			return texts, counts
		}
	}
	keys := slices.Clone(t.values.index.keys)
	counts = slices.Clone(t.values.counts)
	if valueOf(keys[0]) > valueOf(keys[1]) {
		slices.Reverse(keys)
		slices.Reverse(counts)
	}
	for _, key := range keys {
		texts = append(texts, string(appendNumber(nil, valueOf(key))))
	}
	return texts, counts
}

// quantiles are the knots of the gauss-rank scaling. A sketch may have lost the
// extremes, which are known.
func (t *tally) quantiles() *Quantiles {
	var values, weights []float64
	if t.values.beyond == nil {
		values, weights = t.values.sorted()
	} else {
		values, weights = t.values.sketch.sorted()
		if values[0] != t.moments.low {
			values, weights = append([]float64{t.moments.low}, values...), append([]float64{1}, weights...)
		}
		if values[len(values)-1] != t.moments.high {
			values, weights = append(values, t.moments.high), append(weights, 1)
		}
	}
	return gaussRank(values, weights, t.limits.Knots)
}
