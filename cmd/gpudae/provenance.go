package main

import (
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"gpudae/train"
)

// sourceDateVariable, where it is set, holds the seconds since 1970 that stand
// for the present, so that equal runs write equal files
// (https://reproducible-builds.org/specs/source-date-epoch/).
const sourceDateVariable = "SOURCE_DATE_EPOCH"

// provenance says how the model about to be trained comes about.
func (p *program) provenance() train.Provenance {
	return train.Provenance{Command: shellLine(p.args), Started: p.started().UTC().Format(time.RFC3339), Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

// started is when the program began, or what stands for it.
func (p *program) started() time.Time {
	for _, variable := range p.environ {
		if value, found := strings.CutPrefix(variable, sourceDateVariable+"="); found {
			if seconds, err := strconv.ParseInt(value, 10, 64); err == nil && seconds >= 0 {
				return time.Unix(seconds, 0)
			}
		}
	}
	return p.began
}

// shellLine writes arguments as a shell reads them, the program by its name
// without the folder.
func shellLine(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		if i == 0 {
			arg = filepath.Base(arg)
		}
		words[i] = shellWord(arg)
	}
	return strings.Join(words, " ")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
