package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// helpWidth is the width of a help text, which fits an ordinary terminal.
const helpWidth = 96

// appHelp is the help of the program.
func appHelp(app *cli.App) string {
	commands := grid{}
	for _, c := range app.Commands {
		if !c.Hidden {
			commands.add(c.Name, c.Usage)
		}
	}
	return app.Name + " " + app.Usage + `.

Usage:
  gpudae COMMAND [ARGUMENTS] [FLAGS]

Commands:
` + indent(commands.left()) + `
Flags:
  -h, --help  show this text, or that of a command
  --version   print the version

Examples:
  gpudae train                                    train on the embedded digits
  gpudae eval runs/mine digits                    measure a model
  gpudae denoise runs/mine noisy.npy -o clean.npy
  gpudae COMMAND --help
  gpudae man > gpudae.1                           all of it as a manual page

Exit codes: 0 success, 1 failure at run time, 2 usage or configuration, 3 bad data,
4 no GPU or out of device memory, 5 training diverged, 130 interrupted.
`
}

// commandHelp is the help of a command: usage, what it does with examples, and
// its flags under their headings, in the order in which they are declared.
func commandHelp(path []string, c *cli.Command) string {
	name := "gpudae " + strings.Join(path, " ")
	usage := name
	if len(c.Subcommands) > 0 {
		usage += " COMMAND"
	}
	if c.ArgsUsage != "" {
		usage += " " + c.ArgsUsage
	}
	text := name + ": " + c.Usage + ".\n\nUsage:\n  " + usage + " [FLAGS]\n\n" + c.Description + "\n"
	if len(c.Subcommands) > 0 {
		commands := grid{}
		for _, sub := range c.Subcommands {
			commands.add(sub.Name, sub.Usage)
		}
		text += "\nCommands:\n" + indent(commands.left())
	}
	for _, category := range categories(c.Flags) {
		text += "\n" + category + ":\n" + flagHelp(c.Flags, category)
	}
	return text
}

// categories lists the headings of flags in the order of their first flag.
func categories(flags []cli.Flag) []string {
	var list []string
	for _, f := range flags {
		if category := f.(cli.CategorizableFlag).GetCategory(); !slices.Contains(list, category) {
			list = append(list, category)
		}
	}
	return list
}

// flagColumn is where the explanations of flags start.
const flagColumn = 30

func flagHelp(flags []cli.Flag, category string) string {
	var b strings.Builder
	for _, f := range flags {
		documented := f.(cli.DocGenerationFlag)
		if f.(cli.CategorizableFlag).GetCategory() != category {
			continue
		}
		placeholder, usage := splitUsage(documented.GetUsage())
		left := "  " + flagNames(f.Names())
		if documented.TakesValue() {
			left += " " + placeholder
			if value := documented.GetDefaultText(); value != "" && value != `""` {
				usage += " (default " + value + ")"
			}
		}
		lines := wrap(usage, helpWidth-flagColumn)
		if utf8.RuneCountInString(left)+2 > flagColumn {
			b.WriteString(left + "\n")
			left = ""
		}
		for _, line := range lines {
			b.WriteString(left + strings.Repeat(" ", flagColumn-utf8.RuneCountInString(left)) + line + "\n")
			left = ""
		}
	}
	return b.String()
}

// flagNames writes the short names first.
func flagNames(names []string) string {
	var list []string
	for _, name := range names {
		if len(name) == 1 {
			list = append([]string{"-" + name}, list...)
		} else {
			list = append(list, "--"+name)
		}
	}
	return strings.Join(list, ", ")
}

// splitUsage takes the placeholder of a flag's value, in backquotes, from the
// start of its usage.
func splitUsage(usage string) (placeholder, rest string) {
	if quoted, found := strings.CutPrefix(usage, "`"); found {
		placeholder, rest, _ = strings.Cut(quoted, "` ")
		return placeholder, rest
	}
	return "VALUE", usage
}

// wrap breaks text into lines at spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// help prints the help of a command path; an empty one is that of the program.
func (p *program) help(app *cli.App, path []string) error {
	if len(path) == 0 {
		return p.printText(appHelp(app))
	}
	commands := app.Commands
	var found *cli.Command
	for _, name := range path {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == name })
		if i < 0 {
			panic(fmt.Sprintf("help: no command %q", path))
		}
		found, commands = commands[i], commands[i].Subcommands
	}
	return p.printText(commandHelp(path, found))
}
