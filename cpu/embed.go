package cpu

import "gpudae/device"

// embedCall is an Embed in progress; its items are rows.
type embedCall struct {
	columns      []device.TableColumn // of the last call; its memory is used again
	x, params, y []float32
	width        int // of y
}

// Embed makes the network's input of the columns of a table.
func (d *Device) Embed(a device.EmbedArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Embed) {
		return
	}
	d.embed = embedCall{
		columns: tableColumns(d.embed.columns, a.Table), x: floatsOf(a.X), params: floatsOf(a.Params), y: floatsOf(a.Y), width: a.Y.Columns,
	}
	d.pool.run(&d.embed, a.X.Rows, d.perLane(a.Y.Columns+embedCost*a.X.Columns))
}

// tableColumns reads the columns of a table into memory that it grows.
func tableColumns(memory []device.TableColumn, t device.TableColumns) []device.TableColumn {
	if t.IsZero() {
		return memory
	}
	memory, words := memory[:0], wordsOf(t.Words)
	for j := range t.Count {
		memory = append(memory, device.TableColumnOf(words, j))
	}
	return memory
}

func (c *embedCall) run(_, lo, hi int) {
	n := len(c.columns)
	for i := lo; i < hi; i++ {
		x, y := c.x[i*n:(i+1)*n], c.y[i*c.width:(i+1)*c.width]
		for j := range c.columns {
			column, value := &c.columns[j], x[j]
			present := value == value
			switch {
			case column.Family == device.FamilyCategorical:
				from := vectorOf(column, value)
				copy(y[column.Input:], c.params[from:from+column.Embedding])
			case present:
				y[column.Input] = value
			default:
				y[column.Input] = 0
			}
			if column.Indicator != device.NoIndicator {
				y[column.Indicator] = 1
				if present {
					y[column.Indicator] = 0
				}
			}
		}
	}
}

// vectorOf is where the vector of a code starts among the parameters.
func vectorOf(c *device.TableColumn, value float32) int {
	code := c.Categories
	if value == value {
		code = int(value)
	}
	return c.Vectors + code*c.Embedding
}

// embedBackwardCall is an EmbedBackward in progress; its items are the columns
// of the table, each of which one thread adds up in the order of the rows.
type embedBackwardCall struct {
	columns      []device.TableColumn
	x, dy, grads []float32
	width, rows  int
}

// EmbedBackward computes the gradient of Embed's vectors.
func (d *Device) EmbedBackward(a device.EmbedBackwardArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).EmbedBackward) {
		return
	}
	d.embedBackward = embedBackwardCall{
		columns: tableColumns(d.embedBackward.columns, a.Table), x: floatsOf(a.X), dy: floatsOf(a.DY), grads: floatsOf(a.Grads),
		width: a.DY.Columns, rows: a.X.Rows,
	}
	d.pool.run(&d.embedBackward, a.Table.Count, d.perLane(a.X.Rows*a.DY.Columns/a.Table.Count*embedCost))
}

func (c *embedBackwardCall) run(_, lo, hi int) {
	n := len(c.columns)
	for j := lo; j < hi; j++ {
		column := &c.columns[j]
		if column.Family != device.FamilyCategorical {
			continue
		}
		clear(c.grads[column.Vectors : column.Vectors+column.VectorsLen()])
		for i := range c.rows {
			from := vectorOf(column, c.x[i*n+j])
			sum, dy := c.grads[from:from+column.Embedding], c.dy[i*c.width+column.Input:]
			for k := range sum {
				sum[k] += dy[k]
			}
		}
	}
}
