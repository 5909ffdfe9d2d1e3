// Package table says what the columns of a table of mixed cells mean, and turns
// cells into the numbers that a model takes and back.
//
//	cells --Infer--> Schema;  cells --Encode--> records (narrow types)  --device--> x  --model--> x'  --Decode--> cells
//
// A row of a table is one float32 per column: the scaled value of a number, 0 or
// 1 of a binary column, the code of a category; NaN where the value is absent.
// A Schema holds the choices of each column (kind, scaling, weight, bounds,
// missing markers), which people edit, and its Fit, what was measured on the
// training rows. Infer makes one in a pass over the data with memory bounded by
// column; Encode writes the rows into a Store in another pass, without a float
// copy of the table.
//
// The package knows cells and records. It must not know models, how files are
// read, or the command line.
package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"gpudae/data"
)

// Notice is something that a person should know of a column or of the data,
// and that is no error.
type Notice struct {
	Column string // its name, empty for what concerns the whole table
	Text   string
}

// String formats the notice in one line.
func (n Notice) String() string {
	if n.Column == "" {
		return n.Text
	}
	return fmt.Sprintf("column %s: %s", n.Column, n.Text)
}

// cellsAtATime is about the number of cells that a pass over a frame holds at a
// time, in each of the two blocks that are being read and worked on.
const cellsAtATime = 1 << 16

// mostRowsAtATime bounds the rows of a block of a table with few columns.
const mostRowsAtATime = 1 << 13

func rowsAtATime(columns int) int {
	return min(max(cellsAtATime/max(columns, 1), 1), mostRowsAtATime)
}

// block is some rows of a frame, the next one or the failure to read it.
type block struct {
	from  int // number of its first row
	cells *data.Cells
	err   error
}

// eachBlock calls visit with the rows of the frame, a block at a time, in order,
// while the next block is being read. It returns the number of rows.
func eachBlock(ctx context.Context, frame data.Frame, visit func(from int, cells *data.Cells) error) (rows int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	blocks := make(chan block)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(blocks)
		size := rowsAtATime(len(frame.Info().Columns))
		for from := 0; ; {
			cells, err := frame.Next(ctx, size)
			if errors.Is(err, io.EOF) {
				return
			}
			select {
			case blocks <- block{from, cells, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			from += cells.Rows
		}
	})
	defer reader.Wait() // the frame is the caller's again
	defer cancel()
	for b := range blocks {
		if b.err != nil {
			return rows, b.err
		}
		if err := visit(b.from, b.cells); err != nil {
			return rows, err
		}
		rows = b.from + b.cells.Rows
	}
	return rows, ctx.Err()
}

// inParallel calls do(0), ..., do(n-1) from so many threads at a time, and
// returns the failure that comes first in the table: that of the lowest row, in
// the lowest column.
func inParallel(threads, n int, do func(i int) error) error {
	failures := make([]error, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(threads, n) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				failures[i] = do(i)
			}
		})
	}
	workers.Wait()
	return first(failures)
}

// first returns the failure of the lowest row.
func first(failures []error) error {
	failures = slices.DeleteFunc(failures, func(err error) bool { return err == nil })
	if len(failures) == 0 {
		return nil
	}
	return slices.MinFunc(failures, func(a, b error) int { return rowOf(a) - rowOf(b) })
}

func rowOf(err error) int {
	if e := (*data.Error)(nil); errors.As(err, &e) {
		return e.Row
	}
	return 0
}

// threadsOf is the number of threads that 0 stands for.
func threadsOf(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}
