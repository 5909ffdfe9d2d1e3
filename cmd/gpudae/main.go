// Command gpudae trains denoising auto-encoders and uses them.
//
// This file holds the application, the mapping of errors to exit codes and the
// only os.Exit; a command is a file of its own with its options, its action and
// its help. Results go to standard output, progress and logs to standard
// error, and an error is one line that says where, what and how to mend it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

const (
	environmentPrefix = "GPUDAE_"
	debugVariable     = "GPUDAE_DEBUG" // 1: print the trace of an internal error
)

func main() {
	ignoreFileSizeSignal()
	ctx, stop := untilSignal(context.Background())
	defer stop()
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), began: time.Now()}
	os.Exit(p.run(ctx, os.Args))
}

// untilSignal returns a context that ends with a *signalError at the first of
// endingSignals; a second one ends the process in the system's way.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endingSignals()...)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			number, _ := s.(syscall.Signal)
			cancel(&signalError{number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// program is what the commands have in common: where they read and write.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	args           []string  // the command line, the program's name first
	began          time.Time // of the process
}

// run executes a command line and returns the exit code; an error is told on
// standard error.
func (p *program) run(ctx context.Context, args []string) int {
	p.args = args
	err := p.execute(ctx, args)
	if err != nil {
		p.tell(ctx, err)
	}
	return exitCode(ctx, err)
}

func (p *program) execute(ctx context.Context, args []string) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = p.internalError(panicked, debug.Stack())
		}
	}()
	app := p.app()
	if len(args) < 2 {
		return p.help(app, nil)
	}
	line, err := arrange(app, args)
	if err != nil {
		return err
	}
	if line.help {
		return p.help(app, line.command)
	}
	return app.RunContext(ctx, line.args)
}

func (p *program) app() *cli.App {
	app := &cli.App{
		Name:                      "gpudae",
		Usage:                     "trains denoising auto-encoders",
		HideVersion:               true,
		HideHelp:                  true,
		DisableSliceFlagSeparator: true,
		Reader:                    p.stdin,
		Writer:                    p.stdout,
		ErrWriter:                 p.stderr,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usageError,
		Flags:                     []cli.Flag{&cli.BoolFlag{Name: "version", Usage: "print the version"}},
		Action:                    p.printVersion,
		Commands: []*cli.Command{
			p.trainCommand(), p.pretrainCommand(), p.finetuneCommand(), p.predictCommand(), p.evalCommand(), p.denoiseCommand(), p.encodeCommand(), p.imputeCommand(), p.anomalyCommand(), p.scoreCommand(), p.sampleCommand(), p.likelihoodCommand(), p.twosampleCommand(), p.figureCommand(),
			p.exportCommand(), p.inspectCommand(), p.reportCommand(), p.compareCommand(), p.sweepCommand(), p.serveCommand(),
			p.baselineCommand(), p.dataCommand(), p.benchCommand(), p.doctorCommand(), p.completionCommand(), p.manCommand(), p.completeCommand(),
		},
	}
	for _, c := range app.Commands {
		adopt(c)
	}
	return app
}

// adopt gives a command, and those below it, what all have in common.
func adopt(c *cli.Command) {
	c.HideHelp = true
	c.OnUsageError = usageError
	for _, sub := range c.Subcommands {
		adopt(sub)
	}
}

// usageError is the form of what package cli finds wrong with a flag's value.
func usageError(c *cli.Context, err error, _ bool) error {
	var told *failure
	if errors.As(err, &told) {
		return told
	}
	return usage(commandPath(c), err.Error(), "run 'gpudae "+commandPath(c)+" --help' for the flags")
}

func (p *program) printVersion(*cli.Context) error {
	_, err := fmt.Fprintln(p.stdout, "gpudae "+version())
	return err
}

// release is the version where the build says it: -ldflags "-X main.release=v1.2.3",
// for those who build from an archive without the repository.
var release string

// version is that of the build: the release's, the module's, or the commit that it
// was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
