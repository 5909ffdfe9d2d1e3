package main

import "gpudae/internal/settings"

// tableSettings say how a table of mixed columns is read and modelled.
type tableSettings struct {
	// Schema is auto, none, infer, or the path of a schema.
	Schema        string
	MaxCategories int
	Memory        int     // MB of the rows, beyond which they are kept in a folder
	Store         string  // that folder, "": one for the run
	Indicators    bool    // see model.Config
	MaskHead      float64 // likewise
	Balance       string
}

// The values of schema that are no path.
const (
	schemaNone  = "none"
	schemaInfer = "infer"
)

// The values of balance.
const (
	balanceNone     = "none"
	balanceMarginal = "marginal"
)

func defaultTable() tableSettings {
	return tableSettings{Schema: auto, MaxCategories: 10_000, Memory: 1024, Balance: balanceNone}
}

func tableTable() settings.Table[tableSettings] {
	const group = "Tables of mixed columns"
	type c = tableSettings
	return settings.Table[c]{
		{Key: "schema", Group: group, Doc: "what the columns are: the FILE of a schema, infer, none, or auto",
			More: "auto infers it where the columns are not all complete numbers; none takes numbers only", Field: func(c *c) any { return &c.Schema }},
		{Key: "max_categories", Group: group, Doc: "categories of a column, the most common; the others are one, unknown", Field: func(c *c) any { return &c.MaxCategories }},
		{Key: "memory", Group: group, Doc: "MB of rows beyond which they lie in a folder", Field: func(c *c) any { return &c.Memory }},
		{Key: "store", Group: group, Doc: "that folder, which later runs on the same data use again; empty: a temporary one", Field: func(c *c) any { return &c.Store }},
		{Key: "indicators", Group: group, Doc: "the encoder also sees which values are absent", Field: func(c *c) any { return &c.Indicators }},
		{Key: "mask_head", Group: group, Doc: "weight of the loss of a head that tells which values were destroyed (VIME), 0: none", Field: func(c *c) any { return &c.MaskHead }},
		{Key: "balance", Group: group, Doc: "weights of the columns in the loss: none, or marginal, so that what each could gain counts the same",
			Choices: []string{balanceNone, balanceMarginal}, Field: func(c *c) any { return &c.Balance }},
	}
}
