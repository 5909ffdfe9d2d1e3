package serve

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"gpudae/data"
)

// text is the body of an answer to a body of some type: CSV of the one table, or
// JSON {"columns": [...], "rows": [[...], ...]}, of draws {"columns": [...],
// "draws": [[[...], ...], ...]}.
func (a *Answer) text(wanted, body string) ([]byte, error) {
	preserved := a.Preserved && wanted == body
	if wanted == typeCSV {
		cells := *a.Tables[0]
		if !preserved {
			cells.Raw = nil
		}
		var b bytes.Buffer
		err := data.EncodeText(&b, a.Info, &cells)
		return b.Bytes(), err
	}
	text := []byte(`{"columns":[`)
	for i, c := range a.Info.Columns {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, quoted(c.Name)...)
	}
	if a.Draws {
		text = append(text, `],"draws":[`...)
		for i, cells := range a.Tables {
			if i > 0 {
				text = append(text, ',')
			}
			text = a.appendRows(text, cells, preserved)
		}
		return append(text, "]}\n"...), nil
	}
	text = a.appendRows(append(text, `],"rows":`...), a.Tables[0], preserved)
	return append(text, "}\n"...), nil
}

// appendRows writes a table as an array of arrays.
func (a *Answer) appendRows(text []byte, cells *data.Cells, preserved bool) []byte {
	text = append(text, '[')
	for row := range cells.Rows {
		if row > 0 {
			text = append(text, ',')
		}
		text = append(text, '[')
		for i := range cells.Columns {
			if i > 0 {
				text = append(text, ',')
			}
			if preserved {
				text = append(text, cells.Raw.Columns[i][row]...)
				continue
			}
			var like *Column
			if a.Like != nil {
				like = a.Like[i]
			}
			text = appendCell(text, &cells.Columns[i], row, like)
		}
		text = append(text, ']')
	}
	return append(text, ']')
}

// appendCell writes a cell as JSON: null if it is absent, or a number that JSON
// does not have.
func appendCell(text []byte, v *data.Values, row int, like *Column) []byte {
	switch {
	case v.IsAbsent(row):
		return append(text, "null"...)
	case v.Numbers != nil:
		if x := v.Numbers[row]; !math.IsNaN(x) && !math.IsInf(x, 0) {
			return strconv.AppendFloat(text, x, 'g', -1, 64)
		}
		return append(text, "null"...)
	case v.Integers != nil:
		return strconv.AppendInt(text, v.Integers[row], 10)
	case v.Booleans != nil:
		return strconv.AppendBool(text, v.Booleans[row])
	case v.Times != nil:
		return append(text, quoted(data.FormatTime(v.Times[row], false))...)
	}
	return append(text, like.literal(v.Text[row])...)
}

// literal is a text of the column as JSON: a number, true or false where it is one in
// a column of these, otherwise a string. A nil column is one of texts.
func (c *Column) literal(text string) string {
	switch {
	case c == nil:
	case (c.Type == data.Number || c.Type == data.Integer) && isNumber([]byte(text)), c.Type == data.Boolean && (text == "true" || text == "false"):
		return text
	}
	return quoted(text)
}

// quoted is a string of JSON.
func quoted(text string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(err) // any string can be written
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
