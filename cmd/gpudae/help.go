package main

// The help texts: usage, what the command does, examples (the description
// holds them), then the flags by category.

const appHelp = `gpudae {{.Usage}}.

Usage:
   gpudae COMMAND [ARGUMENTS] [FLAGS]

Commands:{{range .VisibleCommands}}
   {{join .Names ", "}}{{"\t"}}{{.Usage}}{{end}}

Flags:
   --help, -h{{"\t"}}show this text, or that of a command
   --version{{"\t"}}print the version

Examples:
   gpudae train                                  train on the embedded digits
   gpudae train data.npy -o runs/mine --corruption gaussian:0.3
   gpudae denoise runs/mine noisy.npy -o clean.npy
   gpudae COMMAND --help
`

const commandHelp = `{{.HelpName}}: {{.Usage}}.

Usage:
   {{.HelpName}}{{if .VisibleCommands}} COMMAND{{end}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}{{if .VisibleFlags}} [FLAGS]{{end}}

{{.Description}}{{if .VisibleCommands}}

Commands:{{range .VisibleCommands}}
   {{join .Names ", "}}{{"\t"}}{{.Usage}}{{end}}{{end}}{{if .VisibleFlagCategories}}
{{range .VisibleFlagCategories}}
{{if .Name}}{{.Name}}{{else}}Flags{{end}}:{{range .Flags}}
   {{.}}{{end}}
{{end}}{{end}}`
