package devicetest

import (
	"context"
	"math"
	"slices"

	"gpudae/device"
)

// tableDefects are ways in which programs for tables go wrong.
func tableDefects() []defect {
	return slices.Concat(recordDefects(), embedDefects(), tableCorruptionDefects(), mixedDefects())
}

func recordDefects() []defect {
	return []defect{
		{
			name:    "an absent code is the first value",
			foundBy: []string{"GatherRecords"},
			load: loading(func(r *device.Records) {
				for j := range r.Columns {
					if c := &r.Columns[j]; c.Cell == device.CellUint8 && c.Values != nil {
						for i := range len(r.Bytes) / r.Stride {
							at := &r.Bytes[i*r.Stride+c.Offset]
							*at = max(*at, 1)
						}
					}
				}
			}),
		},
		{
			name:    "a dictionary is ignored",
			foundBy: []string{"GatherRecords", "CorruptTables"},
			load: loading(func(r *device.Records) {
				for j := range r.Columns {
					r.Columns[j].Values = nil
				}
			}),
		},
		{
			name:    "bits are read from the other end of a byte",
			foundBy: []string{"GatherRecords"},
			load: loading(func(r *device.Records) {
				for j := range r.Columns {
					if c := &r.Columns[j]; c.Cell == device.CellBit {
						c.Offset = c.Offset/8*8 + 7 - c.Offset%8
					}
				}
			}),
		},
	}
}

// loading changes a copy of the records that are loaded.
func loading(spoil func(*device.Records)) func(device.Device, context.Context, device.Table) (device.Dataset, error) {
	return func(d device.Device, ctx context.Context, t device.Table) (device.Dataset, error) {
		if t.Records != nil {
			r := *t.Records
			r.Columns, r.Bytes = slices.Clone(r.Columns), slices.Clone(r.Bytes)
			spoil(&r)
			t.Records = &r
		}
		return d.Load(ctx, t)
	}
}

// withColumns runs an operation with columns that are changed, and puts them back.
func withColumns(d device.Device, t device.TableColumns, change func([]device.TableColumn), run func()) {
	words := make([]uint32, t.Words.Len)
	must(d.DownloadWords(words, t.Words))
	columns := device.TableColumnsOf(words)
	change(columns)
	changed := slices.Clone(words)
	for j, c := range columns {
		copy(changed[j*device.TableColumnWords:], []uint32{uint32(c.Family), uint32(c.Categories), uint32(c.Input), uint32(c.Embedding), uint32(c.Vectors),
			uint32(int32(c.Indicator)), uint32(c.Param)})
	}
	must(d.UploadWords(t.Words, changed))
	run()
	must(d.UploadWords(t.Words, words))
}

func embedDefects() []defect {
	return []defect{
		{
			name:    "an absent code has the vector of code 0",
			foundBy: []string{"Embed"},
			embed: func(d device.Device, a device.EmbedArgs) {
				x, words := download(d, a.X), make([]uint32, a.Table.Words.Len)
				must(d.DownloadWords(words, a.Table.Words))
				filled := slices.Clone(x)
				for i := range filled {
					if c := device.TableColumnOf(words, i%a.Table.Count); c.Family == device.FamilyCategorical && filled[i] != filled[i] {
						filled[i] = 0
					}
				}
				must(d.Upload(a.X, filled))
				d.Embed(a)
				must(d.Upload(a.X, x))
			},
		},
		{
			name:    "indicators are left out",
			foundBy: []string{"Embed"},
			embed: func(d device.Device, a device.EmbedArgs) {
				withColumns(d, a.Table, func(c []device.TableColumn) {
					for j := range c {
						c[j].Indicator = device.NoIndicator
					}
				}, func() { d.Embed(a) })
			},
		},
		{
			name:    "the gradient of a vector is added to what was there",
			foundBy: []string{"EmbedBackward"},
			embedBack: func(d device.Device, a device.EmbedBackwardArgs) {
				before := download(d, a.Grads)
				d.EmbedBackward(a)
				after := download(d, a.Grads)
				for i := range after {
					after[i] += before[i]
				}
				must(d.Upload(a.Grads, after))
			},
		},
		{
			name:    "only the last row that uses a vector counts",
			foundBy: []string{"EmbedBackward"},
			embedBack: func(d device.Device, a device.EmbedBackwardArgs) {
				d.EmbedBackward(a)
				x, dy, words := download(d, a.X), download(d, a.DY), make([]uint32, a.Table.Words.Len)
				must(d.DownloadWords(words, a.Table.Words))
				for i := range a.X.Rows {
					for j, c := range device.TableColumnsOf(words) {
						if value := x[i*a.Table.Count+j]; value == value {
							for k := range c.Embedding {
								poke(d, a.Grads, c.Vectors+int(value)*c.Embedding+k, dy[i*a.Table.InputWidth+c.Input+k])
							}
						}
					}
				}
			},
		},
	}
}

func tableCorruptionDefects() []defect {
	return []defect{
		{
			name:    "absent values are masked too",
			foundBy: []string{"AbsentIsNeverDestroyed", "CorruptTables"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Absent = false
				d.Corrupt(a)
			},
		},
		{
			name:    "codes are taken for numbers",
			foundBy: []string{"OnlyContinuousColumnsAreChanged", "CorruptTables"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Continuous = device.Words{}
				d.Corrupt(a)
			},
		},
		{
			name:    "all fields have one rate",
			foundBy: []string{"RatesAreThoseOfTheFields", "CorruptTables"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Rates = device.Words{}
				d.Corrupt(a)
			},
		},
		{
			name:    "each field of a row has a donor of its own",
			foundBy: []string{"SwapRowsTakesOneRow", "Corrupt/swap-rows"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				if a.Kind == device.CorruptSwapRows {
					a.Kind = device.CorruptSwap
				}
				d.Corrupt(a)
			},
		},
		{
			name:    "a span cannot begin before the first field",
			foundBy: []string{"SpansDestroyEachFieldAlike", "Corrupt/span"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				d.Corrupt(a)
				if a.Kind == device.CorruptSpan && a.Length > 1 {
					for i := range a.From.Rows {
						poke(d, a.Mask, i*a.Mask.Columns, 0)
						poke(d, a.To, i*a.To.Columns, download(d, a.From)[i*a.From.Columns])
					}
				}
			},
		},
		{
			name:    "a span's rate is that of its starts",
			foundBy: []string{"SpansDestroyEachFieldAlike", "Corrupt/span"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				if a.Kind == device.CorruptSpan {
					q := float64(a.Rate) / (1 << 32)
					a.Rate = threshold(1 - math.Pow(1-q, float64(a.Length)))
				}
				d.Corrupt(a)
			},
		},
	}
}

func mixedDefects() []defect {
	return []defect{
		{
			name:    "an absent target is a target of zero",
			foundBy: []string{"Likelihood/mixed"},
			likelihood: func(d device.Device, a device.LikelihoodArgs) {
				x := download(d, a.Target)
				filled := slices.Clone(x)
				for i := range filled {
					if filled[i] != filled[i] {
						filled[i] = 0
					}
				}
				must(d.Upload(a.Target, filled))
				d.Likelihood(a)
				must(d.Upload(a.Target, x))
			},
		},
		{
			name:    "columns have no weights",
			foundBy: []string{"Likelihood/mixed", "Likelihood/bernoulli", "Likelihood/categorical", "Likelihood/gaussian-learned"},
			likelihood: func(d device.Device, a device.LikelihoodArgs) {
				a.Weights = device.View{}
				d.Likelihood(a)
			},
		},
		{
			name:    "losses by column are weighted",
			foundBy: []string{"Likelihood/mixed", "Likelihood/poisson"},
			likelihood: func(d device.Device, a device.LikelihoodArgs) {
				d.Likelihood(a)
				if a.ByColumn.IsZero() || a.Weights.IsZero() {
					return
				}
				l, w := download(d, a.ByColumn), download(d, a.Weights)
				for i := range l {
					l[i] *= w[i%len(w)]
				}
				must(d.Upload(a.ByColumn, l))
			},
		},
		{
			name:    "the fixed spread is the floor of a learned one",
			foundBy: []string{"Likelihood/mixed", "Draw/mixed", "MomentsOfDraw/mixed"},
			likelihood: func(d device.Device, a device.LikelihoodArgs) {
				a.Floor = a.Sigma
				d.Likelihood(a)
			},
			draw: func(d device.Device, a device.DrawArgs) {
				a.Floor = a.Sigma
				d.Draw(a)
			},
		},
		{
			name:    "the last of several most probable codes",
			foundBy: []string{"Mean/mixed"},
			mean: func(d device.Device, a device.MeanArgs) {
				d.Mean(a)
				if a.Kind != device.Mixed {
					return
				}
				params, words := download(d, a.Params), make([]uint32, a.Table.Words.Len)
				must(d.DownloadWords(words, a.Table.Words))
				for i := range a.Params.Rows {
					for j, c := range device.TableColumnsOf(words) {
						if c.Family == device.FamilyCategorical {
							logits := params[i*a.Params.Columns+c.Param:][:c.Categories]
							slices.Reverse(logits)
							poke(d, a.Out, i*a.Out.Columns+j, float32(c.Categories-1-slices.Index(logits, slices.Max(logits))))
						}
					}
				}
			},
		},
		{
			name:    "the mask's likelihood has no gradient",
			foundBy: []string{"Likelihood/mixed"},
			says:    "elements of",
			likelihood: func(d device.Device, a device.LikelihoodArgs) {
				d.Likelihood(a)
				if a.MaskHead > 0 && !a.DParams.IsZero() {
					for i := range a.Params.Rows {
						poke(d, a.DParams, (i+1)*a.Params.Columns-1, 0)
					}
				}
			},
		},
	}
}
