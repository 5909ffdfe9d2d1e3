// Command supply writes what a person who passes the program on needs to know of
// the modules in it: a list of them with their licences, the texts of these, and a
// software bill of materials in CycloneDX JSON. It asks the go command what is
// built into the program, with and without the tag cuda, and reads the licence
// files of those modules; it fails on a licence of a kind that is not in its list.
//
// It is a module of its own, so that what it needs is no dependency of the program.
//
//	go run . -list ../../docs/licences.md -texts ../../bin/THIRD_PARTY_LICENSES.txt -sbom ../../bin/gpudae.cdx.json
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/licensecheck"
)

// allowed are the kinds of licences that a dependency may have, by SPDX's names.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "FTL", "ISC", "MIT", "OFL-1.1"}

// declared are modules whose licence file offers a choice or is not told apart by
// its text, with the licence under which they are used here.
var declared = map[string]string{
	"github.com/apache/arrow/go/arrow": "Apache-2.0", // its LICENSE.txt quotes those of parts in other languages too
	"github.com/golang/freetype":       "FTL",        // its LICENSE: the FreeType License or GPL v2, as the user chooses
}

func main() {
	root := flag.String("root", "../..", "`folder` of the module")
	list := flag.String("list", "", "`file` to write the list to")
	check := flag.String("check", "", "`file` that must be equal to the list")
	texts := flag.String("texts", "", "`file` to write the licences' texts to")
	sbom := flag.String("sbom", "", "`file` to write the bill of materials to")
	version := flag.String("version", "", "of the program, for the bill of materials")
	flag.Parse()
	modules, err := scan(*root)
	if err == nil {
		err = write(modules, *list, *check, *texts, *sbom, *version)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "supply:", err)
		os.Exit(1)
	}
}

func write(modules []*module, list, check, texts, sbom, version string) error {
	table := markdown(modules)
	if check != "" {
		was, err := os.ReadFile(check)
		if err != nil {
			return err
		}
		if !bytes.Equal(was, table) {
			return fmt.Errorf("%s is not what the modules give now; run 'make licences'", check)
		}
		fmt.Printf("%s is current: %d modules\n", check, len(modules))
	}
	for _, out := range []struct {
		path    string
		content func() ([]byte, error)
	}{
		{list, func() ([]byte, error) { return table, nil }},
		{texts, func() ([]byte, error) { return notices(modules), nil }},
		{sbom, func() ([]byte, error) { return bill(modules, version) }},
	} {
		if out.path == "" {
			continue
		}
		content, err := out.content()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(out.path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(out.path, content, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// module is one whose packages are built into the program.
type module struct {
	Path, Version, Dir, Sum string
	cudaOnly                bool // only with the tag cuda
	licences                []licence
}

// licence is a file with the kinds that its text is of.
type licence struct {
	kinds []string
	text  string
}

// kinds are those of all licence files of a module.
func (m *module) kinds() []string {
	if kind, found := declared[m.Path]; found {
		return []string{kind}
	}
	var all []string
	for _, l := range m.licences {
		all = append(all, l.kinds...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// scan finds the modules of both builds and their licences.
func scan(root string) ([]*module, error) {
	found := map[string]*module{}
	for _, tags := range []string{"", "cuda"} {
		if err := listBuild(root, tags, found); err != nil {
			return nil, err
		}
	}
	modules := slices.SortedFunc(maps.Values(found), func(a, b *module) int { return cmp.Compare(a.Path, b.Path) })
	for _, m := range modules {
		if err := m.read(); err != nil {
			return nil, err
		}
	}
	return modules, nil
}

// listBuild asks the go command for the modules of a build.
func listBuild(root, tags string, found map[string]*module) error {
	command := exec.Command("go", "list", "-deps", "-e", "-tags="+tags, "-json=Module,Standard", "./cmd/gpudae")
	command.Dir, command.Stderr = root, os.Stderr
	command.Env = append(command.Environ(), "CGO_ENABLED=1", "GOOS=linux", "GOARCH=amd64")
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Standard bool
			Module   *struct {
				Path, Version, Dir, Sum string
				Main                    bool
			}
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("go list: %w", err)
		}
		if m := p.Module; m != nil && !p.Standard && !m.Main && found[m.Path] == nil {
			found[m.Path] = &module{Path: m.Path, Version: m.Version, Dir: m.Dir, Sum: m.Sum, cudaOnly: tags != ""}
		}
	}
}

// read finds the licence files in the module's folder.
func (m *module) read() error {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return fmt.Errorf("%s: %w; run 'go mod download'", m.Path, err)
	}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "LICENSE") && !strings.HasPrefix(name, "LICENCE") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
		if err != nil {
			return err
		}
		l := licence{text: string(text)}
		for _, match := range licensecheck.Scan(text).Match {
			l.kinds = append(l.kinds, match.ID)
		}
		m.licences = append(m.licences, l)
	}
	kinds := m.kinds()
	if len(kinds) == 0 {
		return fmt.Errorf("%s: no licence of a known kind in %s", m.Path, m.Dir)
	}
	for _, kind := range kinds {
		if !slices.Contains(allowed, kind) {
			return fmt.Errorf("%s: a licence of kind %s, which is not one of %s", m.Path, kind, strings.Join(allowed, ", "))
		}
	}
	return nil
}

// markdown is the list for people.
func markdown(modules []*module) []byte {
	var b bytes.Buffer
	b.WriteString("# Licences\n\ngpudae is under the Apache License 2.0. These modules are built into it; `make licences` writes this list, and\n" +
		"`make sbom` the texts of the licences and a bill of materials.\n\n| module | version | licence | |\n| --- | --- | --- | --- |\n")
	for _, m := range modules {
		note := ""
		if m.cudaOnly {
			note = "with the tag `cuda` only"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.Path, m.Version, strings.Join(m.kinds(), ", "), note)
	}
	return b.Bytes()
}

// notices are the texts of all licences.
func notices(modules []*module) []byte {
	var b bytes.Buffer
	b.WriteString("The following modules are part of gpudae, under these licences.\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "\n%s\n%s %s\n", strings.Repeat("=", 78), m.Path, m.Version)
		for _, l := range m.licences {
			fmt.Fprintf(&b, "%s\n\n%s\n", strings.Repeat("-", 78), strings.TrimSpace(l.text))
		}
	}
	return b.Bytes()
}

// bill is the software bill of materials. It has no time and no random number, so
// that the same program has the same bill.
func bill(modules []*module, version string) ([]byte, error) {
	const self = "pkg:golang/gpudae"
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &cyclonedx.Component{BOMRef: self, Type: cyclonedx.ComponentTypeApplication, Name: "gpudae",
		Version: version, PackageURL: self, Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}}}}
	components, references := []cyclonedx.Component{}, []string{}
	for _, m := range modules {
		purl := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
		licences := cyclonedx.Licenses{}
		for _, kind := range m.kinds() {
			licences = append(licences, cyclonedx.LicenseChoice{License: &cyclonedx.License{ID: kind}})
		}
		properties := []cyclonedx.Property{{Name: "gpudae:go.sum", Value: m.Sum}}
		if m.cudaOnly {
			properties = append(properties, cyclonedx.Property{Name: "gpudae:build-tag", Value: "cuda"})
		}
		components = append(components, cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version,
			PackageURL: purl, Scope: cyclonedx.ScopeRequired, Licenses: &licences, Properties: &properties})
		references = append(references, purl)
	}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: self, Dependencies: &references}}
	var b bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&b, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6)
	return b.Bytes(), err
}
