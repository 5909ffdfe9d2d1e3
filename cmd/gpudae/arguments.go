package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/internal/settings"
	"gpudae/internal/spelling"
)

// arranged is a command line in the order that package cli reads: the command,
// its flags as --name=value under their long names, "--", and the positional
// arguments.
type arranged struct {
	command []string // and subcommand
	help    bool     // --help stands somewhere
	args    []string // all of it, the program first
}

// arrange reads a command line in which flags may stand before or after
// positional arguments; "--" ends them, and "-" is a positional argument.
// Commands and flags that do not exist, and flags without their value, are
// usage errors.
func arrange(app *cli.App, args []string) (*arranged, error) {
	line := commandLine{flags: app.Flags, commands: app.Commands}
	rest := args[1:]
	if len(rest) > 0 && rest[0] == "help" {
		line.help, rest = true, rest[1:]
	}
	for len(rest) > 0 {
		var err error
		if rest, err = line.take(rest); err != nil {
			return nil, err
		}
	}
	if err := line.checkCommand(); err != nil {
		return nil, err
	}
	out := slices.Concat(args[:1], line.command, line.given)
	if len(line.positional) > 0 {
		out = append(append(out, "--"), line.positional...)
	}
	return &arranged{line.command, line.help, out}, nil
}

// commandLine is a command line half read.
type commandLine struct {
	flags      []cli.Flag     // of the command found so far
	commands   []*cli.Command // that may follow
	command    []string
	given      []string // --name=value
	positional []string
	help       bool
}

// take reads one argument, with its value if it is a flag that needs one, and
// returns the rest.
func (l *commandLine) take(args []string) ([]string, error) {
	arg, rest := args[0], args[1:]
	switch {
	case arg == "--":
		l.positional = append(l.positional, rest...)
		return nil, nil
	case strings.HasPrefix(arg, "-") && arg != "-":
		return l.takeFlag(arg, rest)
	case len(l.commands) > 0:
		return rest, l.takeCommand(arg)
	}
	l.positional = append(l.positional, arg)
	return rest, nil
}

func (l *commandLine) takeCommand(name string) error {
	var names []string
	for _, c := range l.commands {
		if c.Name == name {
			l.flags, l.commands = c.Flags, c.Subcommands
			l.command = append(l.command, name)
			return nil
		}
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return usage(l.where(), "unknown command "+quoted(name), settings.Suggest(name, names, "choose one of "+strings.Join(names, ", ")))
}

func (l *commandLine) takeFlag(arg string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if name == "help" || name == "h" {
		l.help = true
		return rest, nil
	}
	flag := l.find(name)
	if flag == nil {
		return nil, usage(l.where(), "unknown flag "+quoted(arg), l.suggest(name))
	}
	long := "--" + flag.Names()[0]
	if _, isSwitch := flag.(*cli.BoolFlag); isSwitch && !hasValue {
		l.given = append(l.given, long)
		return rest, nil
	}
	if !hasValue {
		if len(rest) == 0 || l.isFlag(rest[0]) {
			return nil, usage(long, "no value", "write "+long+"=VALUE")
		}
		value, rest = rest[0], rest[1:]
	}
	l.given = append(l.given, long+"="+value)
	return rest, nil
}

func (l *commandLine) find(name string) cli.Flag {
	for _, f := range l.flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// isFlag reports whether arg is "--" or names a flag of the command, so that it
// is not taken for the value of the flag before it.
func (l *commandLine) isFlag(arg string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return strings.HasPrefix(arg, "--") && (name == "" || l.find(name) != nil)
}

func (l *commandLine) suggest(name string) string {
	names := []string{"help"}
	for _, f := range l.flags {
		names = append(names, f.Names()...)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return len(n) == 1 })
	if near := spelling.Nearest(name, names); near != "" {
		return "did you mean --" + near + "?"
	}
	return "run '" + strings.Join(append([]string{"gpudae"}, l.command...), " ") + " --help' for the list"
}

// where names the command for an error: "train", "data info".
func (l *commandLine) where() string {
	if len(l.command) == 0 {
		return "command line"
	}
	return strings.Join(l.command, " ")
}

// checkCommand reports a command that is missing.
func (l *commandLine) checkCommand() error {
	var names []string
	for _, c := range l.commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	switch {
	case l.help || len(l.commands) == 0 || len(l.command) == 0 && len(l.given) > 0:
		return nil
	case len(l.positional) > 0:
		return usage(l.where(), "no command before "+quoted(l.positional[0]), "choose one of "+strings.Join(names, ", "))
	}
	return usage(l.where(), "no command", "choose one of "+strings.Join(names, ", "))
}
