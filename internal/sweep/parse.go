package sweep

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"gpudae/internal/settings"
)

// Kind says of a setting whether it is a number, and whether a whole one.
type Kind func(key string) (numeric, whole bool)

// whole bounds numbers that are written as whole ones: beyond it a float64 is not
// exact.
const wholeLimit = 1 << 53

// Parse reads the YAML of a sweep:
//
//	method: random            # or grid; random if it is left out
//	trials: 20                # of random
//	seed: 1                   # of the draws
//	metric: val_loss
//	parallel: 2
//	halving: {epochs: 5, eta: 3}
//	preset: quick
//	settings:                 # of every trial
//	  data: digits
//	sweep:
//	  activation: [relu, gelu]                    # a list to choose from
//	  hidden: [[256], [512, 256]]                 # of lists
//	  lr: {min: 1e-4, max: 1e-2, scale: log}      # a range to draw from
//	  code: {min: 8, max: 64, step: 8}            # values of a range
//	  emphasis_destroyed: {min: 1, max: 4, count: 4}
//	  corruption: {min: 0.1, max: 0.5, template: "masking:{}"}
//
// The file's name and a line number become the Where of assignments and errors,
// which are of type *settings.Error.
func Parse(name string, text []byte, kind Kind) (*Config, error) {
	root, err := settings.Document(name, text)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, &settings.Error{Where: name, Problem: "nothing to vary", Remedy: "add sweep: with a list or a range of a setting"}
	}
	entries, err := settings.Entries(name, root)
	if err != nil {
		return nil, err
	}
	p := parser{name: name, kind: kind, config: Config{Method: Random, Seed: 42}}
	for _, e := range entries {
		if err := p.take(e); err != nil {
			return nil, err
		}
	}
	return &p.config, p.check()
}

type parser struct {
	name   string
	kind   Kind
	config Config
	trials string // where their number is given
	method string // where the method is
}

// fields are the keys of the file.
var fields = []string{"method", "trials", "seed", "metric", "parallel", "halving", "preset", "settings", "sweep"}

func (p *parser) take(e settings.Entry) (err error) {
	c := &p.config
	switch e.Key {
	case "method":
		return p.takeMethod(e)
	case "trials":
		p.trials = e.Where
		c.Number, err = wholeNumber(e, 1, MaxTrials)
	case "seed":
		c.Seed, err = number(e, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }, "a whole number from 0 to 2^64-1")
	case "metric":
		c.Metric, err = e.Text()
	case "parallel":
		c.Parallel, err = wholeNumber(e, 0, 1024)
	case "preset":
		c.Preset, err = e.Text()
	case "halving":
		return p.takeHalving(e)
	case "settings":
		c.Fixed, err = settings.FromNode(p.name, e.Value)
	case "sweep":
		return p.takeSpace(e)
	default:
		return &settings.Error{Where: e.Where, Problem: fmt.Sprintf("unknown key %q", e.Key),
			Remedy: settings.Suggest(e.Key, fields, "") + "a sweep has " + strings.Join(fields, ", ") + "; settings of every trial go below settings:"}
	}
	return err
}

func (p *parser) takeMethod(e settings.Entry) error {
	text, err := e.Text()
	if err != nil {
		return err
	}
	p.method, p.config.Method = e.Where, Method(text)
	if m := p.config.Method; m != Grid && m != Random {
		return &settings.Error{Where: e.Where, Problem: fmt.Sprintf("unknown method %q", text), Remedy: settings.Suggest(text, []string{"grid", "random"}, "") + "choose grid or random"}
	}
	return nil
}

func (p *parser) takeHalving(e settings.Entry) error {
	entries, err := settings.Entries(p.name, e.Value)
	if err != nil {
		return err
	}
	h := &Halving{Eta: 3}
	for _, part := range entries {
		switch part.Key {
		case "epochs":
			h.Epochs, err = wholeNumber(part, 1, math.MaxInt32)
		case "eta":
			h.Eta, err = wholeNumber(part, 2, 1024)
		default:
			err = &settings.Error{Where: part.Where, Problem: fmt.Sprintf("unknown key %q", part.Key), Remedy: "halving has epochs and eta"}
		}
		if err != nil {
			return err
		}
	}
	if h.Epochs == 0 {
		return &settings.Error{Where: e.Where, Problem: "halving without epochs", Remedy: "say after how many epochs trials are first compared: halving: {epochs: 5}"}
	}
	p.config.Halving = h
	return nil
}

func (p *parser) takeSpace(e settings.Entry) error {
	entries, err := settings.Entries(p.name, e.Value)
	if err != nil {
		return err
	}
	p.config.space = e.Value
	for _, part := range entries {
		d, err := p.dimension(part)
		if err != nil {
			return err
		}
		p.config.Varied = append(p.config.Varied, *d)
	}
	return nil
}

// dimension reads a list, a range or a single value.
func (p *parser) dimension(e settings.Entry) (*Dimension, error) {
	d := &Dimension{Key: e.Key, Where: e.Where}
	var err error
	switch e.Value.Kind {
	case yaml.SequenceNode:
		d.Values, err = e.Items()
	case yaml.MappingNode:
		err = p.readRange(e, d)
	default:
		err = &settings.Error{Where: e.Where, Problem: fmt.Sprintf("%q is one value", e.Key), Remedy: "give a list or a range, or move it to settings:"}
	}
	if err == nil && d.Range == nil && len(d.Values) == 0 {
		err = &settings.Error{Where: e.Where, Problem: fmt.Sprintf("%q has no values", e.Key), Remedy: "give a list such as [0.001, 0.003]"}
	}
	return d, err
}

// readRange reads {min, max, scale, step or count, template}.
func (p *parser) readRange(e settings.Entry, d *Dimension) error {
	entries, err := settings.Entries(p.name, e.Value)
	if err != nil {
		return err
	}
	r := &Range{Low: math.NaN(), High: math.NaN()}
	step, count := 0.0, 0
	for _, part := range entries {
		switch part.Key {
		case "min":
			r.Low, err = finite(part)
		case "max":
			r.High, err = finite(part)
		case "step":
			step, err = finite(part)
		case "count":
			count, err = wholeNumber(part, 2, MaxTrials)
		case "template":
			r.Template, err = part.Text()
		case "scale":
			err = r.setScale(part)
		default:
			names := []string{"min", "max", "scale", "step", "count", "template"}
			err = &settings.Error{Where: part.Where, Problem: fmt.Sprintf("unknown key %q", part.Key), Remedy: settings.Suggest(part.Key, names, "") + "a range has " + strings.Join(names, ", ")}
		}
		if err != nil {
			return err
		}
	}
	numeric, whole := p.kind(e.Key)
	r.Whole = whole && r.Template == ""
	if problem, remedy := r.problem(numeric, step, count); problem != "" {
		return &settings.Error{Where: e.Where, Problem: fmt.Sprintf("%q %s", e.Key, problem), Remedy: remedy}
	}
	switch {
	case count > 0:
		d.Values = r.points(count)
	case step > 0:
		n := int(math.Floor((r.High-r.Low)/step*(1+1e-12))) + 1
		for i := range n {
			d.Values = append(d.Values, r.write(r.Low+float64(i)*step))
		}
	default:
		d.Range = r
	}
	return nil
}

func (r *Range) setScale(e settings.Entry) error {
	text, err := e.Text()
	if err != nil {
		return err
	}
	if text != "log" && text != "linear" {
		return &settings.Error{Where: e.Where, Problem: fmt.Sprintf("unknown scale %q", text), Remedy: "choose linear or log"}
	}
	r.Log = text == "log"
	return nil
}

// problem says what is wrong with a range, and how to mend it.
func (r *Range) problem(numeric bool, step float64, count int) (problem, remedy string) {
	whole := func(v float64) bool { return v == math.Trunc(v) && math.Abs(v) <= wholeLimit }
	switch {
	case math.IsNaN(r.Low) || math.IsNaN(r.High):
		return "has no min or no max", "give both: {min: 0.0001, max: 0.01, scale: log}"
	case r.Low >= r.High:
		return "has a min that is not below its max", "exchange them, or move the value to settings:"
	case r.Log && r.Low <= 0:
		return "has no logarithm at its min", "give a min above 0, or scale: linear"
	case !numeric && r.Template == "":
		return "is no number", "give a list, or say where the number goes: template: 'masking:{}'"
	case r.Template != "" && !strings.Contains(r.Template, "{}"):
		return "has a template without {}", "write {} where the number goes: template: 'masking:{}'"
	case r.Whole && (!whole(r.Low) || !whole(r.High) || !whole(step)):
		return "is a whole number", "give whole numbers"
	case step != 0 && count != 0:
		return "has a step and a count", "keep one of them"
	case step < 0 || step > 0 && (r.High-r.Low)/step > MaxTrials:
		return fmt.Sprintf("has a step of %v", step), "give a step above 0 that makes few values"
	case step != 0 && r.Log:
		return "has steps on a logarithmic scale", "give count instead of step"
	}
	return "", ""
}

// check looks at what belongs together.
func (p *parser) check() error {
	c := &p.config
	fail := func(where, problem, remedy string) error {
		if where == "" {
			where = p.name
		}
		return &settings.Error{Where: where, Problem: problem, Remedy: remedy}
	}
	if len(c.Varied) == 0 {
		return fail("", "nothing to vary", "add sweep: with a list or a range of a setting")
	}
	for _, fixed := range c.Fixed {
		for _, d := range c.Varied {
			if d.Key == fixed.Key {
				return fail(fixed.Where, fmt.Sprintf("%q is also below sweep:", fixed.Key), "keep one of them")
			}
		}
	}
	return c.checkTrials(func(problem, remedy string) error { return fail(p.trials, problem, remedy) },
		func(where, problem, remedy string) error { return fail(where, problem, remedy) }, p.method)
}

// checkTrials checks that the method can make as many trials.
func (c *Config) checkTrials(trials func(problem, remedy string) error, at func(where, problem, remedy string) error, method string) error {
	if c.Method == Grid {
		for _, d := range c.Varied {
			if d.Range != nil {
				return at(d.Where, fmt.Sprintf("%q is a range, of which a grid has no end of values", d.Key), "add count: 5, give a list, or choose method: random")
			}
		}
		if c.Number != 0 {
			return trials("a grid has as many trials as its lists have combinations", "leave trials out, or choose method: random")
		}
		if c.combinations() > MaxTrials {
			return at(method, fmt.Sprintf("more than %d combinations", MaxTrials), "shorten the lists, or choose method: random")
		}
		return nil
	}
	if c.Number == 0 {
		return trials("no number of trials", "add trials: 20")
	}
	if n := c.combinations(); c.discrete() && c.Number > n {
		return trials(fmt.Sprintf("%d trials of lists that have %d combinations", c.Number, n), fmt.Sprintf("give trials: %d at most, or method: grid", n))
	}
	return nil
}

// SetTrials changes the number of trials of a random search; where says who
// wishes so.
func (c *Config) SetTrials(n int, where string) error {
	if n < 1 || n > MaxTrials {
		return &settings.Error{Where: where, Problem: fmt.Sprintf("%d trials", n), Remedy: fmt.Sprintf("give 1 to %d", MaxTrials)}
	}
	c.Number = n
	fail := func(problem, remedy string) error {
		return &settings.Error{Where: where, Problem: problem, Remedy: remedy}
	}
	return c.checkTrials(fail, func(_, problem, remedy string) error { return fail(problem, remedy) }, where)
}

func number[T any](e settings.Entry, parse func(string) (T, error), want string) (T, error) {
	text, err := e.Text()
	if err != nil {
		return *new(T), err
	}
	v, err := parse(text)
	if err != nil {
		return v, &settings.Error{Where: e.Where, Problem: fmt.Sprintf("%s: %q is not %s", e.Key, text, want), Remedy: "give a number"}
	}
	return v, nil
}

func finite(e settings.Entry) (float64, error) {
	return number(e, func(s string) (float64, error) {
		v, err := strconv.ParseFloat(s, 64)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			err = strconv.ErrRange
		}
		return v, err
	}, "a finite number")
}

func wholeNumber(e settings.Entry, low, high int) (int, error) {
	return number(e, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err == nil && (n < low || n > high) {
			err = strconv.ErrRange
		}
		return n, err
	}, fmt.Sprintf("a whole number from %d to %d", low, high))
}

// YAML writes the sweep with fixed in place of its preset and fixed settings;
// Parse reads it back.
func (c *Config) YAML(fixed []settings.Assignment) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	put := func(mapping *yaml.Node, key string, value *yaml.Node) {
		mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
	}
	plain := func(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }
	quoted := func(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text} }
	put(root, "method", plain(string(c.Method)))
	if c.Method == Random {
		put(root, "trials", plain(strconv.Itoa(c.Number)))
	}
	put(root, "seed", plain(strconv.FormatUint(c.Seed, 10)))
	if c.Metric != "" {
		put(root, "metric", quoted(c.Metric))
	}
	put(root, "parallel", plain(strconv.Itoa(c.Parallel)))
	if h := c.Halving; h != nil {
		node := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		put(node, "epochs", plain(strconv.Itoa(h.Epochs)))
		put(node, "eta", plain(strconv.Itoa(h.Eta)))
		put(root, "halving", node)
	}
	if len(fixed) > 0 {
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, a := range fixed {
			put(node, a.Key, quoted(a.Value))
		}
		put(root, "settings", node)
	}
	put(root, "sweep", c.space)
	return yaml.Dump(root)
}
