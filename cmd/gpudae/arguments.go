package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/internal/settings"
)

// arrange puts a command line into the order that package cli reads: the
// command, its flags as --name=value under their long names, "--", and the
// positional arguments. Flags may stand before or after positional arguments,
// and those that every command has before the command too; "--" ends them, and
// "-" is a positional argument. Commands and flags that do not exist, and flags
// without their value, are usage errors.
func arrange(app *cli.App, args []string) ([]string, error) {
	line := commandLine{flags: app.Flags, commands: app.Commands, out: args[:1:1]}
	args = asksForHelp(args[1:])
	for len(args) > 0 {
		var err error
		if args, err = line.take(args); err != nil {
			return nil, err
		}
	}
	out := append(line.out, line.given...)
	if len(line.positional) > 0 {
		out = append(append(out, "--"), line.positional...)
	}
	return out, line.finish()
}

// asksForHelp rewrites "help COMMAND" as "COMMAND --help".
func asksForHelp(args []string) []string {
	if len(args) > 0 && args[0] == "help" {
		return append(slices.Clone(args[1:]), "--help")
	}
	return args
}

// commandLine is a command line half read.
type commandLine struct {
	flags      []cli.Flag     // of the command found so far
	commands   []*cli.Command // that may follow
	out        []string       // program and commands
	given      []string       // --name=value
	positional []string
	help       bool
}

// take reads one argument, with its value if it is a flag that needs one, and
// returns the rest.
func (l *commandLine) take(args []string) ([]string, error) {
	arg, rest := args[0], args[1:]
	switch {
	case arg == "--" && len(l.commands) > 0:
		return nil, usage(l.where(), "no command before --", "run 'gpudae --help' for the list")
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
		if c.HasName(name) {
			l.flags, l.commands = c.Flags, c.Subcommands
			l.out = append(l.out, c.Name)
			return nil
		}
		names = append(names, c.Name)
	}
	return usage(l.where(), "unknown command "+quoted(name), settings.Suggest(name, names, "choose one of "+strings.Join(names, ", ")))
}

func (l *commandLine) takeFlag(arg string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if name == "help" || name == "h" {
		l.help = true
		l.given = append(l.given, "--help")
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

// isFlag reports whether arg names a flag of the command, so that it is not
// taken for the value of the flag before it.
func (l *commandLine) isFlag(arg string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return strings.HasPrefix(arg, "--") && (name == "" || l.find(name) != nil)
}

func (l *commandLine) suggest(name string) string {
	var names []string
	for _, f := range l.flags {
		for _, n := range f.Names() {
			if len(n) > 1 {
				names = append(names, "--"+n)
			}
		}
	}
	return settings.Suggest("--"+name, names, "run '"+strings.Join(append(l.command(), "--help"), " ")+"' for the list")
}

func (l *commandLine) command() []string { return append([]string{"gpudae"}, l.out[1:]...) }

// where names the command for an error: "train", "data info".
func (l *commandLine) where() string {
	if len(l.out) == 1 {
		return "command line"
	}
	return strings.Join(l.out[1:], " ")
}

// finish reports a command that lacks its subcommand.
func (l *commandLine) finish() error {
	if len(l.commands) == 0 || len(l.out) == 1 || l.help {
		return nil
	}
	var names []string
	for _, c := range l.commands {
		names = append(names, c.Name)
	}
	return usage(l.where(), "no subcommand", "add one of "+strings.Join(names, ", "))
}
