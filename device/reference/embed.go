package reference

import (
	"fmt"

	"gpudae/device"
)

// Embed implements device.Device. It panics at a code that is none.
func (d *Device) Embed(a device.EmbedArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	x, params, y := d.matrix(a.X), d.matrix(a.Params), d.matrix(a.Y)
	for j, c := range device.TableColumnsOf(d.words(a.Table.Words)) {
		for i := range x.rows {
			value, row := x.at(i, j), y.row(i)
			if c.Family == device.FamilyCategorical {
				for k := range c.Embedding {
					row[c.Input+k] = params.data[vectorOf(c, value)+k]
				}
			} else if row[c.Input] = value; value != value {
				row[c.Input] = 0
			}
			if c.Indicator != device.NoIndicator {
				row[c.Indicator] = 0
				if value != value {
					row[c.Indicator] = 1
				}
			}
		}
	}
}

// vectorOf is where the vector of a code starts among the parameters.
func vectorOf(c device.TableColumn, value float64) int {
	code := c.Categories
	if value == value {
		code = int(value)
		if float64(code) != value || code < 0 || code >= c.Categories {
			panic(fmt.Sprintf("reference: %g is none of %d codes", value, c.Categories))
		}
	}
	return c.Vectors + code*c.Embedding
}

// EmbedBackward implements device.Device.
func (d *Device) EmbedBackward(a device.EmbedBackwardArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	x, dy, grads := d.matrix(a.X), d.matrix(a.DY), d.matrix(a.Grads)
	for j, c := range device.TableColumnsOf(d.words(a.Table.Words)) {
		if c.Family != device.FamilyCategorical {
			continue
		}
		clear(grads.data[c.Vectors : c.Vectors+c.VectorsLen()])
		for i := range x.rows {
			for k := range c.Embedding {
				grads.data[vectorOf(c, x.at(i, j))+k] += dy.at(i, c.Input+k)
			}
		}
	}
}
