package serve

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"gpudae/data"
)

type object = map[string]any

// table describes the operations on rows of a table in place of those on rows of
// numbers, whose answers other than 200 they have.
func (doc *description) table(t *Table, most int) error {
	var like struct {
		Post object `json:"post"`
	}
	if err := json.Unmarshal(doc.Paths["/v1/encode"], &like); err != nil {
		return fmt.Errorf("the OpenAPI description: %w", err)
	}
	maps.DeleteFunc(doc.Paths, func(path string, _ json.RawMessage) bool {
		return strings.HasPrefix(path, "/v1/") && path != "/v1/model"
	})
	for i := range t.Operations {
		op := &t.Operations[i]
		text, err := json.Marshal(object{"post": op.describe(like.Post)})
		if err != nil {
			return fmt.Errorf("the OpenAPI description of %s: %w", op.Name, err)
		}
		doc.Paths["/v1/"+op.Name] = text
	}
	doc.Info["description"] = "What a denoising auto-encoder computes of rows of a table of mixed columns."
	schemas := doc.Components.Schemas
	for _, name := range []string{"Number", "Row", "Rows"} {
		delete(schemas, name)
	}
	schemas["Cell"] = object{"type": anyCell()}
	schemas["Record"], schemas["Body"], schemas["Table"] = t.record(), t.body(most), tableAnswer()
	return nil
}

// describe is the operation, with the answers other than 200 of another.
func (op *TableOperation) describe(like object) object {
	responses := maps.Clone(like["responses"].(object))
	text := object{"schema": object{"type": "string", "description": "a line of names, then a line for each row"}}
	responses["200"] = object{"description": "what was computed of each row, in the kind that Accept asks for, by default that of the body",
		"content": object{typeJSON: object{"schema": reference("Table")}, typeCSV: text}}
	described := object{"summary": op.Summary, "operationId": "v1-" + op.Name, "responses": responses,
		"requestBody": object{"required": true, "content": object{typeJSON: object{"schema": reference("Body")}, typeCSV: text}}}
	parameters := []object{}
	for _, p := range op.Parameters {
		parameters = append(parameters, object{"name": p.Name, "in": "query", "required": false, "description": p.Description, "schema": p.Schema})
	}
	if len(parameters) > 0 {
		described["parameters"] = parameters
	}
	return described
}

func reference(schema string) object { return object{"$ref": "#/components/schemas/" + schema} }

func anyCell() []string { return []string{"string", "number", "boolean", "null"} }

// record describes a row by the names of its columns.
func (t *Table) record() object {
	members, required := object{}, []string{}
	for i := range t.Columns {
		c := &t.Columns[i]
		members[c.Name] = c.describe()
		if c.Used {
			required = append(required, c.Name)
		}
	}
	return object{"type": "object", "properties": members, "required": required, "additionalProperties": false}
}

// mostListed bounds the categories of a column that the description lists.
const mostListed = 256

// describe is what bodies may have in the column. null is a missing value.
func (c *Column) describe() object {
	var d object
	switch {
	case !c.Used:
		d = reference("Cell")
	case c.Categories != nil:
		known := []any{nil}
		for _, category := range c.Categories[:min(len(c.Categories), mostListed)] {
			known = append(known, category)
		}
		d = object{"anyOf": []object{{"enum": known}, reference("Cell")}}
	case c.Type == data.Number || c.Type == data.Integer:
		d = object{"type": []string{"number", "null"}}
	default:
		d = object{"type": []string{"string", "null"}}
	}
	if c.Description != "" {
		d["description"] = c.Description
	}
	return d
}

// body describes JSON bodies.
func (t *Table) body(most int) object {
	var names []string
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	used := len(t.used())
	row := object{"type": "array", "items": reference("Cell"), "minItems": used, "maxItems": len(names)}
	columns := object{"type": "array", "items": object{"enum": names}, "minItems": used, "maxItems": len(names), "uniqueItems": true,
		"description": "names of the columns in the order of the rows, all that the model uses among them; without them rows have these alone, in the model's order"}
	variant := func(required string, members object) object {
		return object{"type": "object", "properties": members, "required": []string{required}, "additionalProperties": false}
	}
	list := func(of object, description string) object {
		return object{"type": "array", "minItems": 1, "maxItems": most, "items": of, "description": description}
	}
	return object{"oneOf": []object{
		variant("records", object{"records": list(reference("Record"), "rows by the names of their columns, all with the same ones")}),
		variant("rows", object{"rows": list(row, "rows of equal length"), "columns": columns}),
	}}
}

// tableAnswer describes JSON answers.
func tableAnswer() object {
	rows := object{"type": "array", "items": object{"type": "array", "items": reference("Cell")}}
	members := object{"columns": object{"type": "array", "items": object{"type": "string"}, "description": "names of the columns, in the order of the rows"},
		"rows": rows, "draws": object{"type": "array", "items": rows, "description": "of impute with m: rows of each draw, in place of rows"}}
	return object{"type": "object", "properties": members, "required": []string{"columns"}, "additionalProperties": false,
		"oneOf": []object{{"required": []string{"rows"}}, {"required": []string{"draws"}}}}
}
