package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gpudae": main})
}

// TestScripts holds the promises of the command line, one a file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               withoutExtras,
		Condition: func(condition string) (bool, error) {
			if condition != "gpu" {
				return false, fmt.Errorf("unknown condition %q", condition)
			}
			return hasGPU(), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"interrupts": interrupts,
			"hexfile":    hexfile,
			"keys":       keys,
			"near":       near,
			"below":      below,
			"files":      files,
		},
	})
}

// withoutExtras leaves out of runs what only the scripts about it look at.
func withoutExtras(env *testscript.Env) error {
	env.Setenv(noEventsVariable, "1")
	env.Setenv(noReportVariable, "1")
	return nil
}

// hasGPU reports whether this build can open a CUDA device here.
func hasGPU() bool {
	dev, err := kindNamed("cuda").open(0, defaultMachine(), nil)
	if err != nil {
		return false
	}
	dev.Close()
	return true
}

// exits CODE COMMAND...: the command ends with that exit code, and, unless it
// is 0, has one line for the error and no trace.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	checkExit(ts, want, ts.Exec(args[1], args[2:]...), ts.ReadFile("stderr"))
}

var errorLine = regexp.MustCompile(`(?m)^gpudae: .+: .+$`)

func checkExit(ts *testscript.TestScript, want int, err error, stderr string) {
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	if found := len(errorLine.FindAllString(stderr, -1)); want != 0 && found != 1 {
		ts.Fatalf("%d error lines, want 1", found)
	}
	for _, trace := range []string{"goroutine ", "panic:", "internal error"} {
		if strings.Contains(stderr, trace) {
			ts.Fatalf("standard error holds %q", trace)
		}
	}
}

// interrupts FILE CODE COMMAND...: the command is sent SIGINT as soon as FILE
// exists, and ends with that exit code.
func interrupts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupts FILE CODE COMMAND [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	program, err := exec.LookPath(args[2])
	ts.Check(err)
	command := exec.Command(program, args[3:]...)
	var stderr strings.Builder
	command.Dir, command.Stderr, command.Env = ts.MkAbs("."), &stderr, append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	ts.Check(command.Start())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s did not appear; standard error: %s", args[0], stderr.String())
		}
	}
	ts.Check(command.Process.Signal(syscall.SIGINT))
	err = command.Wait()
	ts.Logf("%s", stderr.String())
	checkExit(ts, want, err, stderr.String())
}

// hexfile FILE HEX...: writes bytes; "HEX*N" repeats them.
func hexfile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: hexfile FILE HEX[*COUNT]...")
	}
	var content []byte
	for _, arg := range args[1:] {
		digits, times, repeated := strings.Cut(arg, "*")
		part, err := hex.DecodeString(digits)
		ts.Check(err)
		count := 1
		if repeated {
			count, err = strconv.Atoi(times)
			ts.Check(err)
		}
		for range count {
			content = append(content, part...)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o666))
}

// keys FILE KEY...: the file is one line, a JSON object with these keys, of
// which a.b is one within another.
func keys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: keys FILE KEY...")
	}
	text := ts.ReadFile(args[0])
	if strings.Count(text, "\n") != 1 {
		ts.Fatalf("%s is not one line", args[0])
	}
	for _, key := range args[1:] {
		lookUp(ts, args[0], key)
	}
}

// near FILE KEY FILE KEY TOLERANCE: two numbers in JSON objects differ by no more.
func near(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 5 {
		ts.Fatalf("usage: near FILE KEY FILE KEY TOLERANCE")
	}
	tolerance, err := strconv.ParseFloat(args[4], 64)
	ts.Check(err)
	a, b := lookUpNumber(ts, args[0], args[1]), lookUpNumber(ts, args[2], args[3])
	if (math.Abs(a-b) <= tolerance) == neg {
		ts.Fatalf("%v and %v differ by %g", a, b, math.Abs(a-b))
	}
}

// below FILE KEY FILE KEY: the first number is less than the second.
func below(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: below FILE KEY FILE KEY")
	}
	a, b := lookUpNumber(ts, args[0], args[1]), lookUpNumber(ts, args[2], args[3])
	if (a < b) == neg {
		ts.Fatalf("%v and %v", a, b)
	}
}

func lookUp(ts *testscript.TestScript, file, key string) any {
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &value))
	for part := range strings.SplitSeq(key, ".") {
		object, _ := value.(map[string]any)
		found, ok := object[part]
		if !ok {
			ts.Fatalf("%s has no key %s", file, key)
		}
		value = found
	}
	return value
}

func lookUpNumber(ts *testscript.TestScript, file, key string) float64 {
	n, ok := lookUp(ts, file, key).(float64)
	if !ok {
		ts.Fatalf("%s in %s is no number", key, file)
	}
	return n
}

// files FOLDER NAME...: the folder holds these files and no others; folders in
// it count by their files.
func files(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: files FOLDER [NAME...]")
	}
	want := map[string]bool{}
	for _, name := range args[1:] {
		want[name] = true
	}
	root := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if !want[name] {
			ts.Fatalf("%s holds %s", args[0], name)
		}
		delete(want, name)
		return err
	}))
	for name := range want {
		ts.Fatalf("%s does not hold %s", args[0], name)
	}
}
