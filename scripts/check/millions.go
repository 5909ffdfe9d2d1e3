//go:build ignore

// Millions runs the commands for tables on a CSV file of many rows and 40 mixed
// columns, and holds the peak of each one's resident memory against the size of
// the stored rows.
//
// usage: millions GPUDAE FOLDER ROWS PAGE.md
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	columns = 40
	most    = 1.5 // times the store: a float32 copy of it would be 3.7 times, the text 4.5 times
	// fixed is what a command takes without a table: the program, a model, blocks of
	// cells, garbage. In millions of rows it is nothing.
	fixed = 128 << 20
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: millions GPUDAE FOLDER ROWS PAGE.md")
	}
	rows, err := strconv.Atoi(os.Args[3])
	if err != nil || rows < 1000 {
		log.Fatalf("%s is no number of rows, 1000 or more", os.Args[3])
	}
	if err := judge(os.Args[1], os.Args[2], rows, os.Args[4]); err != nil {
		log.Fatal(err)
	}
}

// judge writes the page, and fails if a command takes more memory than it may.
func judge(program, folder string, rows int, page string) error {
	table := filepath.Join(folder, "table.csv")
	text, err := writeTable(table, rows)
	if err != nil {
		return fmt.Errorf("writing a table: %w", err)
	}
	run := filepath.Join(folder, "run")
	settings := strings.Fields("--preset tabular --hidden 128 --code 32 --batch 1024 --epochs 1 --quiet --json")
	train := append([]string{"train", table, "-o", run}, settings...)

	var plan struct {
		Resident struct {
			Bytes uint64 `json:"bytes"`
			Float uint64 `json:"bytes_float32"`
			Hot   uint64 `json:"bytes_one_hot"`
		} `json:"resident"`
	}
	if err := printed(program, append(train, "--dry-run"), &plan); err != nil {
		return err
	}
	commands := [][]string{
		train,
		{"anomaly", run, table, "-o", filepath.Join(folder, "anomalies.csv"), "--quiet"},
		{"impute", run, table, "-o", filepath.Join(folder, "filled.csv"), "--quiet"},
		{"encode", run, table, "-o", filepath.Join(folder, "codes.parquet"), "--quiet"},
	}
	store := plan.Resident.Bytes
	lines := []string{fmt.Sprintf("%d rows, %d columns: %d MB of text, %d MB stored (%d MB as float32, %d MB in one-hot form)",
		rows, columns, text>>20, store>>20, plan.Resident.Float>>20, plan.Resident.Hot>>20), "",
		"| command | seconds | peak of resident memory | beside the store |", "| --- | --- | --- | --- |"}
	var failed []error
	for _, arguments := range commands {
		began := time.Now()
		peak, err := peakOf(program, arguments)
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("| `%s` | %.0f | %d MB | %.2f |", arguments[0], time.Since(began).Seconds(), peak>>20, float64(peak)/float64(store)))
		if limit := max(most*float64(store), float64(store)+fixed); float64(peak) > limit {
			failed = append(failed, fmt.Errorf("%s takes %d MB, more than %.0f MB", arguments[0], peak>>20, limit/(1<<20)))
		}
	}
	result := strings.Join(lines, "\n") + "\n"
	fmt.Print(result)
	return errors.Join(append(failed, os.WriteFile(page, []byte(heading+result), 0o666))...)
}

const heading = `# A table of millions of rows

    scripts/check/millions 5000000 docs/results/millions.md

draws a table of numbers, counts, bits, words of 3 to 200 categories and dates, 3 % of
its cells missing; trains for one epoch (preset tabular, 128 units, code 32, batch 1024), and
scores, fills in and encodes every row. The store is what the rows take in their narrow
types; the peak is the process's, with the program and the model in it.

`

// printed runs a command and reads the JSON that it prints.
func printed(program string, arguments []string, into any) error {
	out, err := exec.Command(program, arguments...).Output()
	if err != nil {
		return failure(arguments, err)
	}
	return json.Unmarshal(out, into)
}

// peakOf runs a command and returns the peak of its resident memory in bytes.
func peakOf(program string, arguments []string) (uint64, error) {
	c := exec.Command(program, arguments...)
	if _, err := c.Output(); err != nil {
		return 0, failure(arguments, err)
	}
	return uint64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) << 10, nil
}

func failure(arguments []string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%s: %w: %s", arguments[0], err, exit.Stderr)
	}
	return fmt.Errorf("%s: %w", arguments[0], err)
}

// writeTable draws a table, and returns the size of its text in bytes.
func writeTable(path string, rows int) (int64, error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	var line []byte
	for j := range columns {
		line = fmt.Appendf(line, "c%d,", j)
	}
	for range rows {
		line[len(line)-1] = '\n'
		w.Write(line)
		line = appendRow(line[:0], random)
	}
	line[len(line)-1] = '\n'
	w.Write(line)
	if err := w.Flush(); err != nil {
		return 0, err
	}
	status, err := file.Stat()
	return status.Size(), errors.Join(err, file.Sync())
}

// appendRow appends a row: its columns hang together by one hidden number.
func appendRow(line []byte, random *rand.Rand) []byte {
	hidden := random.NormFloat64()
	for j := range columns {
		if random.IntN(100) >= 3 {
			line = appendCell(line, random, j, hidden+random.NormFloat64())
		}
		line = append(line, ',')
	}
	return line
}

func appendCell(line []byte, random *rand.Rand, j int, x float64) []byte {
	switch j % 5 {
	case 0:
		return strconv.AppendFloat(line, 20*x+100, 'f', 2, 64)
	case 1:
		return strconv.AppendInt(line, int64(30+10*x), 10)
	case 2:
		return strconv.AppendBool(line, x > 0)
	case 3:
		categories := 3 + 5*j
		return fmt.Appendf(line, "word %d", min(max(int(float64(categories)*(x+3)/6), 0), categories-1))
	}
	return time.Unix(0, 0).UTC().AddDate(0, 0, 10000+int(500*x)).AppendFormat(line, "2006-01-02")
}
