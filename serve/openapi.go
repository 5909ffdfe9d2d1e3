package serve

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// openAPI describes all routes, without the sizes of a model.
//
//go:embed openapi.json
var openAPI []byte

// description is an OpenAPI document.
type description struct {
	OpenAPI    string                     `json:"openapi"`
	Info       map[string]string          `json:"info"`
	Security   []map[string][]string      `json:"security,omitempty"`
	Paths      map[string]json.RawMessage `json:"paths"`
	Components struct {
		Security  json.RawMessage           `json:"securitySchemes"`
		Schemas   map[string]map[string]any `json:"schemas"`
		Responses json.RawMessage           `json:"responses"`
	} `json:"components"`
}

// describe is the description of a server: openAPI with the sizes and names of
// its rows, its version, and without the operations that it lacks.
func describe(c Config) ([]byte, error) {
	var doc description
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		return nil, fmt.Errorf("the OpenAPI description: %w", err)
	}
	doc.Info["version"] = c.Version
	if c.Token == "" {
		doc.Security = nil
	}
	if c.Table != nil {
		if err := doc.table(c.Table, c.Limits.Rows); err != nil {
			return nil, err
		}
	} else {
		doc.numbers(c)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("the OpenAPI description: %w", err)
	}
	return append(text, '\n'), nil
}

// numbers describes the operations on rows of numbers.
func (doc *description) numbers(c Config) {
	has := map[string]bool{"model": true}
	for _, op := range c.Operations {
		has[op.Name] = true
	}
	for path := range doc.Paths {
		if name, ok := strings.CutPrefix(path, "/v1/"); ok && !has[name] {
			delete(doc.Paths, path)
		}
	}
	schemas, features := doc.Components.Schemas, c.Schema.Features
	schemas["Row"]["minItems"], schemas["Row"]["maxItems"] = features, features
	variants := schemas["Body"]["oneOf"].([]any)
	properties := func(variant int) map[string]any {
		return variants[variant].(map[string]any)["properties"].(map[string]any)
	}
	properties(0)["rows"].(map[string]any)["maxItems"] = c.Limits.Rows
	if names := c.Schema.Columns; names == nil {
		delete(properties(0), "columns")
		delete(schemas, "Record")
		schemas["Body"]["oneOf"] = variants[:1]
	} else {
		columns := properties(0)["columns"].(map[string]any)
		columns["items"] = map[string]any{"enum": names}
		columns["minItems"], columns["maxItems"], columns["uniqueItems"] = features, features, true
		properties(1)["records"].(map[string]any)["maxItems"] = c.Limits.Rows
		members := map[string]any{}
		for _, name := range names {
			members[name] = map[string]string{"$ref": "#/components/schemas/Number"}
		}
		schemas["Record"]["properties"], schemas["Record"]["required"] = members, names
	}
}
