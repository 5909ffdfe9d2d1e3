package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/data/download"
)

// cacheVariable names the folder of downloaded data sets.
const cacheVariable = "GPUDAE_CACHE"

func (p *program) dataGetCommand() *cli.Command {
	return &cli.Command{
		Name:      "get",
		Usage:     "download a public data set, which is then DATA by its name",
		ArgsUsage: "NAME",
		Description: `NAME is mnist, fashion-mnist, kmnist or adult; NAME:test is then its test set. Each file
is taken from the first mirror that gives it with the right SHA-256; a download
that was interrupted goes on where it stopped. The folder is that of --cache, of
` + cacheVariable + `, gpudae in XDG_CACHE_HOME, or ~/.cache/gpudae; commands that read
DATA by name look there too, but for --cache.

Examples:
  gpudae data get mnist
  gpudae train mnist --hidden 1000
  gpudae data get adult --mirror http://mirror.local/adult/`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "cache", Category: "Data", Usage: "`FOLDER` folder of downloaded data sets", DefaultText: cacheVariable},
			&cli.StringFlag{Name: "mirror", Category: "Data", Usage: "`URL` folder with the files of the set, which is tried first", DefaultText: "none"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: "Output", Usage: "no progress"},
		},
		Action: p.dataGet,
	}
}

func (p *program) dataGet(c *cli.Context) error {
	if err := arguments(c, "NAME"); err != nil {
		return err
	}
	set, ok := download.Find(c.Args().First())
	if !ok {
		return usage("data get", "there is no data set "+quoted(c.Args().First())+" to download", "use one of "+strings.Join(downloadable(), ", "))
	}
	cache := c.String("cache")
	if cache == "" {
		var err error
		if cache, err = p.cache(); err != nil {
			return err
		}
	}
	if mirror := c.String("mirror"); mirror != "" {
		set.Mirrors = append([]string{strings.TrimSuffix(mirror, "/") + "/"}, set.Mirrors...)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute // a mirror that is silent for longer is down
	console := newConsole(p.stderr, c.Bool("quiet"))
	defer console.stop()
	getter := &download.Downloader{Client: &http.Client{Transport: transport}, Folder: cache, Progress: downloadProgress(console)}
	folder, err := getter.Get(c.Context, set)
	if err != nil {
		return err
	}
	console.stop()
	return p.printText(folder + "\n")
}

// downloadable are the names of the sets that data get knows.
func downloadable() []string {
	var names []string
	for _, s := range download.Sets() {
		names = append(names, s.Name)
	}
	return names
}

// downloadProgress shows a bar for each file on a terminal.
func downloadProgress(console *console) func(download.File, int64) {
	current := ""
	return func(f download.File, done int64) {
		if f.Name != current {
			console.stop()
			console.start(f.Size)
			current = f.Name
		}
		if console.bar != nil {
			console.bar.Describe(f.Name)
			console.bar.Set64(min(done, f.Size))
		}
	}
}

// cache is the folder of downloaded data sets.
func (p *program) cache() (string, error) {
	set := map[string]string{}
	for _, e := range p.environ {
		name, value, _ := strings.Cut(e, "=")
		set[name] = value
	}
	switch {
	case set[cacheVariable] != "":
		return set[cacheVariable], nil
	case filepath.IsAbs(set["XDG_CACHE_HOME"]): // others are to be ignored, by its specification
		return filepath.Join(set["XDG_CACHE_HOME"], "gpudae"), nil
	case set["HOME"] != "":
		return filepath.Join(set["HOME"], ".cache", "gpudae"), nil
	}
	return "", usage(cacheVariable, "there is no folder for downloaded data sets", "set it, or HOME")
}

// downloaded finds the files of a data set that 'data get' has downloaded, and
// leaves other names as they are. "NAME:test" is the test set.
func (p *program) downloaded(nameOrPath string, o *data.Options) (string, error) {
	name, part, _ := strings.Cut(nameOrPath, ":")
	set, ok := download.Find(name)
	if !ok {
		return nameOrPath, nil
	}
	cache, err := p.cache()
	if err != nil {
		return "", err
	}
	for _, files := range set.Parts {
		if files.Name != part {
			continue
		}
		path := filepath.Join(cache, name, files.Data)
		if _, err := os.Stat(path); err != nil {
			return "", &data.Error{Path: nameOrPath, Problem: "is not on this machine", Remedy: "run 'gpudae data get " + name + "'", Err: err}
		}
		o.Name = nameOrPath
		if files.Labels != "" && o.LabelColumn == "" {
			o.Labels = filepath.Join(cache, name, files.Labels)
		}
		return path, nil
	}
	return "", &data.Error{Path: nameOrPath, Problem: "there is no part " + quoted(part) + " of " + name, Remedy: "write " + name + " or " + name + ":test"}
}
