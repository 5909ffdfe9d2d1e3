package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"gpudae/train"
)

// console writes logs and progress to standard error: a bar on a terminal, one
// line an epoch otherwise. A quiet console says only what was asked for by name.
type console struct {
	w        io.Writer
	terminal bool
	quiet    bool
	bar      *progressbar.ProgressBar
	val      float64 // of the last epoch, for the bar
	hasVal   bool
	said     map[string]bool // lines of once
}

func newConsole(w io.Writer, quiet bool) *console {
	file, isFile := w.(*os.File)
	return &console{w: w, terminal: isFile && term.IsTerminal(int(file.Fd())), quiet: quiet}
}

// logf writes one line, above the bar if there is one.
func (c *console) logf(format string, args ...any) {
	c.print(fmt.Sprintf(format, args...) + "\n")
}

// once writes a line, unless it has done so before: what is done again is no news.
func (c *console) once(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if c.said[line] {
		return
	}
	if c.said == nil {
		c.said = map[string]bool{}
	}
	c.said[line] = true
	c.print(line + "\n")
}

// print writes text above the bar.
func (c *console) print(text string) {
	if c.quiet {
		return
	}
	if c.bar != nil {
		c.bar.Clear()
	}
	io.WriteString(c.w, text)
}

// start shows an empty bar of so many steps.
func (c *console) start(total int64) {
	if !c.terminal || c.quiet {
		return
	}
	c.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(c.w),
		progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(80*time.Millisecond),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerHead: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
	)
}

// step moves the bar.
func (c *console) step(p train.Progress) {
	if c.bar == nil {
		return
	}
	text := fmt.Sprintf("epoch %d/%d  loss %s", p.Epoch, p.Epochs, number(p.Loss))
	if c.hasVal {
		text += fmt.Sprintf("  val %s", number(c.val))
	}
	if p.SamplesPerS > 0 {
		text += fmt.Sprintf("  %.0f/s", p.SamplesPerS)
	}
	c.advance(text, int64(p.Step))
}

// advance moves the bar to a step and says what is going on.
func (c *console) advance(text string, step int64) {
	if c.bar == nil {
		return
	}
	c.bar.Describe(text)
	c.bar.Set64(step)
}

// epoch writes the line of an epoch, or keeps its validation loss for the bar.
func (c *console) epoch(r train.Row, epochs int) {
	if c.bar != nil {
		c.val, c.hasVal = r.ValLoss, true
		return
	}
	name := "nll"
	if math.IsNaN(r.TrainNLL) {
		name = "loss"
	}
	divergence := ""
	if !math.IsNaN(r.ValKL) {
		divergence = fmt.Sprintf("  val_kl %s", number(r.ValKL))
	}
	spikes := ""
	if r.Skipped > 0 {
		spikes = fmt.Sprintf("  %d skipped", r.Skipped)
	}
	c.logf("epoch %*d/%d  train_%s %s  val_%s %s%s  val_mse %s  lr %s%s  %.0f samples/s  %s",
		len(fmt.Sprint(epochs)), r.Epoch, epochs, name, number(r.TrainLoss), name, number(r.ValLoss), divergence, number(r.ValMSE), number(r.LR), spikes,
		r.SamplesPerS, duration(r.Seconds))
}

// stop takes the bar away.
func (c *console) stop() {
	if c.bar != nil {
		c.bar.Clear()
		c.bar = nil
	}
}

// duration writes seconds for a person.
func duration(seconds float64) string {
	if seconds < 60 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	return strings.TrimSuffix(time.Duration(seconds*float64(time.Second)).Round(time.Second).String(), "0s")
}
