package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p *program) manCommand() *cli.Command {
	return &cli.Command{
		Name:  "man",
		Usage: "print the manual page",
		Description: `Every command and flag as one page for man(1), in its macros.

Examples:
  gpudae man > gpudae.1 && man -l gpudae.1
  gpudae man > ~/.local/share/man/man1/gpudae.1`,
		Action: func(c *cli.Context) error {
			if err := arguments(c); err != nil {
				return err
			}
			return p.printText(manPage(p.app(), p.started().UTC().Format("2006-01-02")))
		},
	}
}

// manPage is the help of all commands in the macros of man(7).
func manPage(app *cli.App, date string) string {
	m := &roff{}
	m.line(fmt.Sprintf(`.TH GPUDAE 1 %s "gpudae %s" "User Commands"`, date, version())) // no hyphen of a date is escaped
	m.macro("SH", "NAME")
	m.line("gpudae - " + app.Usage)
	m.macro("SH", "SYNOPSIS")
	m.line(`\fBgpudae\fR \fICOMMAND\fR [\fIARGUMENTS\fR] [\fIFLAGS\fR]`)
	m.macro("SH", "DESCRIPTION")
	m.text("gpudae trains denoising auto-encoders, which learn to undo a corruption of their input, and uses them: to denoise, encode, score, sample and complete. " +
		"Results go to standard output, progress and errors to standard error. Flags may stand before or after arguments; -- ends them.")
	m.macro("SH", "COMMANDS")
	for _, c := range app.Commands {
		m.command([]string{c.Name}, c)
	}
	m.macro("SH", "EXIT STATUS")
	for _, row := range [][2]string{{"0", "success"}, {"1", "failure at run time"}, {"2", "usage or configuration"}, {"3", "bad data"},
		{"4", "no GPU, or out of device memory"}, {"5", "training diverged"}, {"130, 143", "interrupted, terminated"}} {
		m.item(bold(row[0]), row[1])
	}
	m.macro("SH", "ENVIRONMENT")
	m.item(bold(environmentPrefix+"SETTING"), "the value of a setting where neither its flag nor --set gives it: GPUDAE_LR for --lr")
	m.item(bold(cacheVariable), "the folder of downloaded data sets")
	m.item(bold(sourceDateVariable), "seconds since 1970 that stand for the present in what is written")
	m.macro("SH", "FILES")
	m.text("A run folder holds config.yaml (settings), schema.json (columns), model.safetensors (the best model, which is enough for all commands that use one), " +
		"last.safetensors (all that a resume needs), metrics.jsonl, metrics.csv, MODEL_CARD.md, report.html, figures and event files for TensorBoard.")
	return m.String()
}

// roff is a page in the making.
type roff struct{ strings.Builder }

// command describes a command and those below it.
func (m *roff) command(path []string, c *cli.Command) {
	if c.Hidden {
		return
	}
	if len(c.Subcommands) == 0 {
		m.macro("SS", strings.TrimSpace("gpudae "+strings.Join(path, " ")+" "+c.ArgsUsage))
	} else {
		m.macro("SS", "gpudae "+strings.Join(path, " ")+" COMMAND")
	}
	m.text(capital(c.Usage) + ".")
	m.verbatim(c.Description)
	for _, category := range categories(c.Flags) {
		if category != "" {
			m.macro("PP")
			m.line(`\fI` + escaped(category) + `\fR`)
		}
		for _, f := range c.Flags {
			if f.(cli.CategorizableFlag).GetCategory() == category {
				m.flag(f.(cli.DocGenerationFlag))
			}
		}
	}
	for _, sub := range c.Subcommands {
		m.command(append(slices.Clone(path), sub.Name), sub)
	}
}

func (m *roff) flag(f cli.DocGenerationFlag) {
	placeholder, usage := splitUsage(f.GetUsage())
	head := bold(flagNames(f.(cli.Flag).Names()))
	if f.TakesValue() {
		head += ` \fI` + escaped(placeholder) + `\fR`
		if value := f.GetDefaultText(); value != "" && value != `""` {
			usage += " (default " + value + ")"
		}
	}
	m.item(head, usage)
}

// macro writes a request with its arguments.
func (m *roff) macro(name string, arguments ...string) {
	m.WriteString("." + name)
	for _, a := range arguments {
		fmt.Fprintf(m, ` "%s"`, strings.ReplaceAll(escaped(a), `"`, `\(dq`))
	}
	m.WriteString("\n")
}

// line writes a line that is escaped already.
func (m *roff) line(text string) { m.WriteString(text + "\n") }

// sourceWidth is the width of the lines of a paragraph, which man fills anew.
const sourceWidth = 72

// text writes a paragraph.
func (m *roff) text(text string) {
	for _, line := range wrap(text, sourceWidth) {
		m.line(guarded(escaped(line)))
	}
}

// item writes a term, escaped already, with its explanation.
func (m *roff) item(term, text string) {
	m.macro("TP")
	m.line(term)
	m.text(text)
}

// verbatim writes lines as they are.
func (m *roff) verbatim(text string) {
	if text == "" {
		return
	}
	m.macro("PP")
	m.macro("nf")
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		m.line(guarded(escaped(line)))
	}
	m.macro("fi")
}

func bold(text string) string { return `\fB` + escaped(text) + `\fR` }

// escaped makes text mean itself: a backslash begins an escape, a hyphen may be
// set as another character than the minus sign that a shell wants.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}

// guarded keeps a line that begins as a request does from being one.
func guarded(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
