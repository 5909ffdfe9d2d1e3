package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/internal/selftest"
)

func (p *program) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check that this machine can train",
		Description: `Lists the build, the machine and the devices, runs every operation on each device
that is here and compares the results with the reference's, and checks that files
can be written. Each failure comes with its mend; the exit code is 1 if there is one.

Examples:
  gpudae doctor
  gpudae doctor --json`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: p.doctor,
	}
}

// finding is the outcome of one check. A finding that is not ok has a remedy
// and makes the machine unusable, unless it is optional.
type finding struct {
	Check    string `json:"check"`
	OK       bool   `json:"ok"`
	Optional bool   `json:"optional,omitempty"`
	Detail   string `json:"detail"`
	Remedy   string `json:"remedy,omitempty"`
}

func (p *program) doctor(c *cli.Context) error {
	if err := arguments(c); err != nil {
		return err
	}
	findings := []finding{
		{Check: "build", OK: true, Detail: fmt.Sprintf("gpudae %s, %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)},
	}
	findings = append(findings, examineCUDA()...)
	for _, kind := range deviceKinds() {
		for ordinal := range countDevices(kind.name) {
			findings = append(findings, examineDevice(c.Context, kind, ordinal)...)
		}
	}
	findings = append(findings, checkWritable("temporary files", os.TempDir(), "set TMPDIR to a folder that you may change"),
		checkWritable("runs", existing(runsFolder), "change to a folder that you may change, or name one with -o"))
	if err := c.Context.Err(); err != nil {
		return err
	}
	if err := p.printFindings(findings, c.Bool("json")); err != nil {
		return err
	}
	for _, f := range findings {
		if !f.OK && !f.Optional {
			return &failure{code: exitFailure, where: f.Check, problem: f.Detail, remedy: f.Remedy}
		}
	}
	return nil
}

func (p *program) printFindings(findings []finding, asJSON bool) error {
	if asJSON {
		usable := true
		for _, f := range findings {
			usable = usable && (f.OK || f.Optional)
		}
		return p.printJSON(map[string]any{"usable": usable, "checks": findings})
	}
	g := grid{}
	for _, f := range findings {
		state := "ok"
		switch {
		case !f.OK && f.Optional:
			state = "absent"
		case !f.OK:
			state = "FAILED"
		}
		text := f.Detail
		if f.Remedy != "" {
			text += "; " + f.Remedy
		}
		g.add(fmt.Sprintf("%-6s  %s", state, f.Check), text)
	}
	return p.printText(g.left())
}

// countDevices is the number of devices of a kind, at least one to try.
func countDevices(kind string) int {
	if kind == cudaName {
		return max(1, countCUDA())
	}
	return 1
}

// examineDevice opens a device and tests it. The CPU and the reference must be
// there; any other device is optional.
func examineDevice(ctx context.Context, kind deviceKind, ordinal int) []finding {
	name := kind.name
	if ordinal > 0 {
		name = fmt.Sprintf("%s:%d", kind.name, ordinal)
	}
	check := "device " + name
	dev, err := kind.open(ordinal, machineSettings{Precision: kind.precisions[0], Gemm: gemmOwn}, nil)
	if err != nil {
		return []finding{{Check: check, Optional: kind.name != "cpu" && kind.name != "reference", Detail: reason(err), Remedy: remedy(err)}}
	}
	defer dev.Close()
	info := dev.Info()
	detail := info.Description
	if info.MemoryTotal > 0 {
		detail += fmt.Sprintf(", %s of memory, %s free", fileSize(info.MemoryTotal), fileSize(info.MemoryFree))
	}
	if kind.name == cudaName {
		detail += "; larger data sets stay in the host's memory"
	}
	findings := []finding{{Check: check, OK: true, Detail: detail}}
	if kind.name == "reference" {
		return findings
	}
	findings = append(findings, selfTest(ctx, dev, name))
	findings = append(findings, testRounded(ctx, kind, ordinal, name)...)
	if kind.name == cudaName {
		findings = append(findings, testCublasLt(ctx, kind, ordinal, name)...)
	}
	return findings
}

// testCublasLt tests products by cuBLASLt, where that is there, as examineCublasLt says.
func testCublasLt(ctx context.Context, kind deviceKind, ordinal int, name string) []finding {
	dev, err := kind.open(ordinal, machineSettings{Precision: precisionFloat32, Gemm: gemmCublasLt}, nil)
	if err != nil {
		return nil
	}
	defer dev.Close()
	f := finding{Check: "self-test " + name + ", products by cuBLASLt", Optional: true, Remedy: "do not train with --gemm cublaslt on this device"}
	report, err := selftest.RunProducts(ctx, dev, selftest.Tolerance)
	return []finding{f.with(report, err)}
}

// testRounded tests the products of a device that round their factors, each within what
// its rounding allows.
func testRounded(ctx context.Context, kind deviceKind, ordinal int, name string) []finding {
	var findings []finding
	for _, c := range []struct {
		precision string
		allowed   float64
		big       bool // in the kernels of big products
	}{{precisionTF32, 1e-2, false}, {precisionBFloat16, 1e-1, false}, {precisionBFloat16, 1e-1, true}, {precisionStrict, selftest.Tolerance, false}} {
		if !slices.Contains(kind.precisions, c.precision) || c.big && kind.name != cudaName {
			continue
		}
		f := finding{Check: "self-test " + name + ", " + c.precision, Remedy: "do not train with --precision " + c.precision + " on this device; please report this machine with the output of 'gpudae doctor'"}
		open := func() (device.Device, error) {
			return kind.open(ordinal, machineSettings{Precision: c.precision, Gemm: gemmOwn}, nil)
		}
		if c.big {
			f.Check += " of big products"
			open = func() (device.Device, error) { return openCopying(ordinal) }
		}
		dev, err := open()
		if errors.Is(err, cpu.ErrNoBFloat16) {
			continue
		}
		if err != nil {
			f.Detail = err.Error()
			findings = append(findings, f)
			continue
		}
		report, err := selftest.RunProducts(ctx, dev, c.allowed)
		f = f.with(report, err)
		if kind.name == cpuName {
			f.Detail += "; " + dev.Info().Description
		}
		dev.Close()
		findings = append(findings, f)
	}
	return findings
}

// with is the finding of a self-test's outcome.
func (f finding) with(report *selftest.Report, err error) finding {
	if err != nil {
		f.Detail = err.Error()
		return f
	}
	f.Detail = report.String()
	if report.OK() {
		f.OK, f.Remedy = true, ""
	}
	return f
}

// selfTest runs every operation on the device and on the reference, and compares
// the results.
func selfTest(ctx context.Context, dev device.Device, name string) finding {
	f := finding{Check: "self-test " + name, Remedy: "do not train on this device; please report this machine with the output of 'gpudae doctor'"}
	report, err := selftest.Run(ctx, dev)
	return f.with(report, err)
}

// remedy is that of a failure, or nothing.
func remedy(err error) string {
	_, after, _ := strings.Cut(err.Error(), "; ")
	return after
}

// existing is the folder itself, or the nearest one above it that exists.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// checkWritable makes a file in a folder and removes it.
func checkWritable(check, dir, advice string) finding {
	f := finding{Check: check, Detail: dir}
	file, err := os.CreateTemp(dir, ".gpudae-doctor-*")
	if err != nil {
		f.Detail, f.Remedy = dir+": "+openProblem(err), advice
		return f
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, 1<<16))
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		f.Detail, f.Remedy = dir+": "+openProblem(err), advice
		return f
	}
	f.OK = true
	if absolute, err := filepath.Abs(dir); err == nil {
		f.Detail = absolute
	}
	return f
}
