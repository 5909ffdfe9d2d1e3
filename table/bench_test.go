//go:build unix

package table

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"gpudae/data"
)

// writeCSV writes a table of so many rows and columns, of which in turn one is a
// real number, one a count with gaps, one a word, one a bit, one a date.
func writeCSV(tb testing.TB, rows, columns int) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "table.csv")
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	for j := range columns {
		w.WriteString(strconv.Itoa(j) + "name" + separatorAfter(j, columns))
	}
	random := rand.New(rand.NewPCG(9, 10))
	words := []string{"alpha", "beta", "gamma", "delta", "a longer word", "ζ"}
	var cell []byte
	for range rows {
		for j := range columns {
			cell = cell[:0]
			switch j % 5 {
			case 0:
				cell = strconv.AppendFloat(cell, random.NormFloat64()*100, 'f', 4, 64)
			case 1:
				if n := random.IntN(1000); n > 50 {
					cell = strconv.AppendInt(cell, int64(n), 10)
				}
			case 2:
				cell = append(cell, words[random.IntN(len(words))]...)
			case 3:
				cell = append(cell, byte('0'+random.IntN(2)))
			case 4:
				cell = timeFormat{separator: '-'}.append(cell, float64(random.IntN(20_000)*day), "2006-01-02")
			}
			w.Write(append(cell, separatorAfter(j, columns)...))
		}
	}
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		tb.Fatal(err)
	}
	return path
}

func separatorAfter(j, columns int) string {
	if j+1 < columns {
		return ","
	}
	return "\n"
}

func openFrame(tb testing.TB, path string) data.Frame {
	tb.Helper()
	frame, err := data.OpenFrame(context.Background(), path, data.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { frame.Close() })
	return frame
}

// BenchmarkCSV measures what reading a CSV file of 40 columns, inferring its schema
// and storing its rows cost, on one thread and on all. Reading goes on beside
// the work on the block before, so that a pass on one worker keeps two cores busy.
func BenchmarkCSV(b *testing.B) {
	const rows, columns = 25_000, 40
	frame := openFrame(b, writeCSV(b, rows, columns))
	ctx := context.Background()
	schema, _, err := Infer(ctx, frame, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		spent := cpuSeconds(b)
		for b.Loop() {
			if err := frame.Rewind(); err != nil {
				b.Fatal(err)
			}
			for {
				if _, err := frame.Next(ctx, rowsAtATime(columns)); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
		perCell(b, rows*columns, spent)
	})
	for _, threads := range []int{1, 2} {
		b.Run("infer/threads="+strconv.Itoa(threads), func(b *testing.B) {
			spent := cpuSeconds(b)
			for b.Loop() {
				if _, _, err := Infer(ctx, frame, Options{Threads: threads}); err != nil {
					b.Fatal(err)
				}
			}
			perCell(b, rows*columns, spent)
		})
		b.Run("encode/threads="+strconv.Itoa(threads), func(b *testing.B) {
			spent := cpuSeconds(b)
			for b.Loop() {
				store, err := Encode(ctx, frame, schema, StoreOptions{Threads: threads})
				if err != nil {
					b.Fatal(err)
				}
				store.Close()
			}
			perCell(b, rows*columns, spent)
		})
	}
}

// perCell reports cells by time, and by the time of a core, which other work on
// the machine does not change as much.
func perCell(b *testing.B, cells int, spent float64) {
	done := float64(b.N) * float64(cells) / 1e6
	b.ReportMetric(done/b.Elapsed().Seconds(), "Mcells/s")
	b.ReportMetric(done/(cpuSeconds(b)-spent), "Mcells/core-s")
	b.ReportMetric(0, "ns/op")
}

// cpuSeconds is the time that the process has spent on all cores.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

// BenchmarkCells measures the work on cells that have been read, on one thread.
func BenchmarkCells(b *testing.B) {
	const rows, columns = 25_000, 40
	ctx := context.Background()
	read := openFrame(b, writeCSV(b, rows, columns))
	all := &data.Cells{Columns: make([]data.Values, columns)}
	for {
		cells, err := read.Next(ctx, rows)
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		all.Rows += cells.Rows
		for j := range cells.Columns {
			all.Columns[j].Text = append(all.Columns[j].Text, cells.Columns[j].Text...)
		}
	}
	frame := data.NewFrame("memory", read.Info().Columns, all)
	var schema *Schema
	b.Run("infer", func(b *testing.B) {
		spent := cpuSeconds(b)
		for b.Loop() {
			var err error
			if schema, _, err = Infer(ctx, frame, Options{Threads: 1}); err != nil {
				b.Fatal(err)
			}
		}
		perCell(b, rows*columns, spent)
	})
	b.Run("encode", func(b *testing.B) {
		spent := cpuSeconds(b)
		for b.Loop() {
			store, err := Encode(ctx, frame, schema, StoreOptions{Threads: 1})
			if err != nil {
				b.Fatal(err)
			}
			store.Close()
		}
		perCell(b, rows*columns, spent)
	})
	b.Run("decode", func(b *testing.B) {
		store, err := Encode(ctx, frame, schema, StoreOptions{Threads: 1})
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		d, err := schema.NewDecoder(false)
		if err != nil {
			b.Fatal(err)
		}
		x := values(store)
		spent := cpuSeconds(b)
		for b.Loop() {
			d.Decode(x)
		}
		perCell(b, rows*columns, spent)
	})
}
