package settings

import (
	"encoding/base64"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxYAML bounds a configuration file: one of all settings has a few kilobytes.
const maxYAML = 1 << 20

// FromYAML reads a mapping of keys to scalars or lists of scalars. The file's
// name and a line number become the assignments' Where. Whether a key exists is
// not checked here: Resolve does. Anchors and aliases, nested mappings, keys
// given twice and values left empty are each an *Error.
func FromYAML(name string, text []byte) ([]Assignment, error) {
	root, err := Document(name, text)
	if root == nil || err != nil {
		return nil, err
	}
	return FromNode(name, root)
}

// FromNode is FromYAML of a mapping within a document.
func FromNode(name string, mapping *yaml.Node) ([]Assignment, error) {
	entries, err := Entries(name, mapping)
	if err != nil {
		return nil, err
	}
	var layer []Assignment
	for _, e := range entries {
		text, err := e.Text()
		if err != nil {
			return nil, err
		}
		layer = append(layer, Assignment{e.Key, text, e.Where})
	}
	return layer, nil
}

// Entry is one key of a mapping with its value.
type Entry struct {
	Key, Where string // Where is the file and the line
	Value      *yaml.Node
	name       string
}

// Entries lists a mapping in the order of the file. Keys that are no words and
// keys given twice are an *Error.
func Entries(name string, mapping *yaml.Node) ([]Entry, error) {
	if mapping.Kind != yaml.MappingNode || mapping.Anchor != "" {
		return nil, &Error{line(name, mapping), "not a mapping", "write one 'key: value' a line"}
	}
	var entries []Entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return nil, &Error{line(name, key), "a key that is not a word", "write one 'key: value' a line"}
		}
		if seen[key.Value] {
			return nil, &Error{line(name, key), fmt.Sprintf("%q is given twice", key.Value), "keep one of them"}
		}
		seen[key.Value] = true
		entries = append(entries, Entry{key.Value, line(name, key), value, name})
	}
	return entries, nil
}

// Text is the value as a flag's argument would be: a scalar, or scalars joined
// by commas. Another value is an *Error.
func (e Entry) Text() (string, error) {
	text, problem := flatten(e.Value)
	if problem != "" {
		return "", &Error{line(e.name, e.Value), fmt.Sprintf("%q %s", e.Key, problem), "give a number, a word, or a list like [1000, 500]"}
	}
	return text, nil
}

// Items are the values of a list, each written as Text writes a value.
func (e Entry) Items() ([]string, error) {
	var items []string
	for _, node := range e.Value.Content {
		text, err := Entry{e.Key, e.Where, node, e.name}.Text()
		if err != nil {
			return nil, err
		}
		items = append(items, text)
	}
	return items, nil
}

// Document returns the root of the only document, or nil if there is nothing in it.
func Document(name string, text []byte) (*yaml.Node, error) {
	if len(text) > maxYAML {
		return nil, &Error{name, fmt.Sprintf("%d bytes are too many for a configuration", len(text)), "give a YAML file of settings"}
	}
	var documents []yaml.Node
	if err := yaml.Load(text, &documents, yaml.WithAllDocuments()); err != nil {
		problem, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), "\n")
		return nil, &Error{name, "not YAML: " + problem, "mend the file, or start from the config.yaml of a run"}
	}
	if len(documents) > 1 {
		return nil, &Error{name, "more than one YAML document", "keep one"}
	}
	if len(documents) == 0 {
		return nil, nil
	}
	root := &documents[0]
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	if root.Kind == yaml.DocumentNode || root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	return root, nil
}

func line(name string, n *yaml.Node) string { return fmt.Sprintf("%s:%d", name, n.Line) }

// flatten writes a value as a flag's argument would be.
func flatten(value *yaml.Node) (text, problem string) {
	switch {
	case value.Anchor != "":
		return "", "has an anchor"
	case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
		return "", "has no value"
	case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!binary": // what YAML writes of text that is not UTF-8
		text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value.Value), ""))
		if err != nil {
			return "", "is not base64"
		}
		return string(text), ""
	case value.Kind == yaml.ScalarNode:
		return value.Value, ""
	case value.Kind != yaml.SequenceNode:
		return "", "is not a value"
	}
	items := make([]string, len(value.Content))
	for i, item := range value.Content {
		if item.Kind != yaml.ScalarNode || item.Anchor != "" || strings.Contains(item.Value, ",") {
			return "", "is not a list of plain values"
		}
		items[i] = item.Value
	}
	return strings.Join(items, ","), ""
}

// YAML writes every setting of c with its documentation, under the headings of
// the groups; FromYAML and Resolve read it back to an equal C.
func (t Table[C]) YAML(c *C) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	group := ""
	for _, s := range t {
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: s.Key}
		if s.Group != group {
			group = s.Group
			key.HeadComment = group
		}
		value := s.node(c)
		value.LineComment = s.Doc
		root.Content = append(root.Content, key, value)
	}
	return yaml.Dump(root)
}

// node is the value of s as YAML; text that another type would claim is quoted.
func (s Setting[C]) node(c *C) *yaml.Node {
	switch p := s.Field(c).(type) {
	case *[]int:
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for item := range strings.SplitSeq(s.Format(c), ",") {
			if len(*p) > 0 {
				list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: item})
			}
		}
		return list
	case *string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: *p}
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: s.Format(c)}
	}
}
