package main

import (
	"embed"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/data/download"
	"gpudae/internal/settings"
	"gpudae/model"
)

// completionScripts are what shells run: each asks 'gpudae complete' for what can
// follow, so that flags and names are those of the program.
//
//go:embed completion
var completionScripts embed.FS

// shells are those that have a script, in completion/SHELL.
func shells() []string { return []string{"bash", "zsh", "fish"} }

func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the completion script of a shell",
		ArgsUsage: "SHELL",
		Description: `SHELL is bash, zsh or fish. The script completes commands, flags, the values of
flags that have a list, names of data sets, and files.

Examples:
  gpudae completion bash > ~/.local/share/bash-completion/completions/gpudae
  gpudae completion zsh > ~/.zfunc/_gpudae     with ~/.zfunc in fpath, before compinit
  gpudae completion fish > ~/.config/fish/completions/gpudae.fish`,
		Action: func(c *cli.Context) error {
			if err := arguments(c, "SHELL"); err != nil {
				return err
			}
			shell := c.Args().First()
			if !slices.Contains(shells(), shell) {
				return usage("completion", "unknown shell "+quoted(shell), settings.Suggest(shell, shells(), "")+"choose one of "+strings.Join(shells(), ", "))
			}
			script, err := completionScripts.ReadFile("completion/" + shell)
			if err != nil {
				return err
			}
			return p.printText(string(script))
		},
	}
}

// completeCommand is what the scripts ask: its arguments are the words of a
// command line, without the program, up to the cursor, the last perhaps unfinished.
func (p *program) completeCommand() *cli.Command {
	return &cli.Command{
		Name:   "complete",
		Usage:  "print what can follow the words of a command line, for completion scripts",
		Hidden: true,
		Action: func(c *cli.Context) error {
			text := ""
			for _, candidate := range complete(p.app(), c.Args().Slice()) {
				text += candidate.word + "\t" + candidate.doc + "\n"
			}
			return p.printText(text)
		},
	}
}

// candidate is a word that can follow, and what it means.
type candidate struct{ word, doc string }

// complete lists what the last of the words can become; nothing stands for files.
func complete(app *cli.App, words []string) []candidate {
	words = withoutEqualSigns(words)
	if len(words) == 0 {
		words = []string{""}
	}
	line := commandLine{flags: app.Flags, commands: app.Commands}
	rest, last := words[:len(words)-1], words[len(words)-1]
	for len(rest) > 0 {
		if name := valueWanted(&line, rest); name != "" {
			return matching(flagValues(name), last)
		}
		var err error
		if rest, err = line.take(rest); err != nil {
			return nil
		}
	}
	if strings.HasPrefix(last, "-") {
		if name, value, found := strings.Cut(last, "="); found {
			return prefixed(name+"=", matching(flagValues(strings.TrimLeft(name, "-")), value))
		}
		return matching(flagWords(line.flags), last)
	}
	if len(line.commands) > 0 {
		return matching(commandWords(line.commands), last)
	}
	return matching(argumentWords(app, &line), last)
}

// withoutEqualSigns undoes that some shells make three words of --flag=value.
func withoutEqualSigns(words []string) []string {
	var out []string
	for i, w := range words {
		switch {
		case w != "=" || i == 0:
			out = append(out, w)
		case i == len(words)-1:
			out = append(out, "")
		}
	}
	return out
}

// valueWanted is the name of the flag whose value is still to come, if the words
// are that flag alone.
func valueWanted(l *commandLine, words []string) string {
	name := strings.TrimLeft(words[0], "-")
	if len(words) != 1 || name == words[0] || strings.Contains(name, "=") {
		return ""
	}
	flag := l.find(name)
	if _, isSwitch := flag.(*cli.BoolFlag); flag == nil || isSwitch {
		return ""
	}
	return flag.Names()[0]
}

func matching(candidates []candidate, start string) []candidate {
	return slices.DeleteFunc(candidates, func(c candidate) bool { return !strings.HasPrefix(c.word, start) })
}

func prefixed(prefix string, candidates []candidate) []candidate {
	for i := range candidates {
		candidates[i].word = prefix + candidates[i].word
	}
	return candidates
}

func commandWords(commands []*cli.Command) []candidate {
	var list []candidate
	for _, c := range commands {
		if !c.Hidden {
			list = append(list, candidate{c.Name, c.Usage})
		}
	}
	return list
}

func flagWords(flags []cli.Flag) []candidate {
	list := []candidate{{"--help", "show the help of the command"}}
	for _, f := range flags {
		_, doc := splitUsage(f.(cli.DocGenerationFlag).GetUsage())
		doc, _, _ = strings.Cut(doc, ": ")
		list = append(list, candidate{"--" + f.Names()[0], doc})
	}
	return list
}

// flagValues are the values of a flag that has a list of them.
func flagValues(flag string) []candidate {
	var list []candidate
	add := func(word, doc string) { list = append(list, candidate{word, doc}) }
	switch flag {
	case "preset":
		for _, p := range presets() {
			add(p.name, p.doc)
		}
	case "device":
		add(auto, "a GPU if there is one, otherwise the CPU")
		for _, k := range deviceKinds() {
			add(k.name, k.doc)
		}
	case "activation", "code-activation":
		for _, a := range model.Activations() {
			add(a.Name, "")
		}
	case "corruption", "corrupt":
		for _, c := range model.Corruptions() {
			add(c.Name, c.Formula)
		}
	case "likelihood":
		for _, l := range model.Likelihoods() {
			add(l.Name, l.Formula)
		}
	default:
		for _, s := range trainTable() {
			if s.Flag() == flag {
				for _, c := range s.Choices {
					add(c, "")
				}
			}
		}
	}
	return list
}

// argumentWords are the values of the next positional argument, by its name in
// the usage of the command.
func argumentWords(app *cli.App, l *commandLine) []candidate {
	var names []string
	for _, word := range strings.Fields(argumentsOf(app, l.command)) {
		if strings.HasPrefix(word, "[-") || strings.HasPrefix(word, "-") {
			break
		}
		names = append(names, strings.Trim(word, "[]."))
	}
	if len(l.positional) >= len(names) {
		return nil
	}
	var list []candidate
	switch names[len(l.positional)] {
	case "SHELL":
		for _, s := range shells() {
			list = append(list, candidate{s, ""})
		}
	case "KIND":
		for _, k := range figureKinds() {
			list = append(list, candidate{k.name, k.doc})
		}
	case "NAME": // of data get
		for _, s := range download.Sets() {
			list = append(list, candidate{s.Name, s.Description})
		}
	case "DATA":
		for _, b := range data.List() {
			list = append(list, candidate{b.Name, b.Description})
		}
		for _, s := range download.Sets() {
			list = append(list, candidate{s.Name, s.Description})
		}
	case "WORKLOAD":
		for _, w := range allWorkloads() {
			list = append(list, candidate{w.name, ""})
		}
	}
	return list
}

// argumentsOf is the usage of a command's arguments.
func argumentsOf(app *cli.App, path []string) string {
	commands, usage := app.Commands, ""
	for _, name := range path {
		for _, c := range commands {
			if c.Name == name {
				usage, commands = c.ArgsUsage, c.Subcommands
				break
			}
		}
	}
	return usage
}
