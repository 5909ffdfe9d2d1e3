package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLicencesOfOtherKindsAreRefused: the GNU licence is not in the list, and a
// module without a licence is not passed over.
func TestLicencesOfOtherKindsAreRefused(t *testing.T) {
	dir := t.TempDir()
	m := &module{Path: "example.org/none", Dir: dir}
	if err := m.read(); err == nil || !strings.Contains(err.Error(), "no licence") {
		t.Errorf("without a licence: %v", err)
	}
	text := "SPDX-License-Identifier: GPL-3.0-only\n\nGNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n\n" +
		"This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as published by " +
		"the Free Software Foundation, either version 3 of the License, or (at your option) any later version.\n"
	if err := os.WriteFile(filepath.Join(dir, "COPYING"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	m = &module{Path: "example.org/gnu", Dir: dir}
	if err := m.read(); err == nil || !strings.Contains(err.Error(), "GPL-3.0") {
		t.Errorf("with the GNU licence: %v", err)
	}
}

// TestLicencesAreRecognised: this project's own.
func TestLicencesAreRecognised(t *testing.T) {
	m := &module{Path: "gpudae", Dir: "../.."}
	if err := m.read(); err != nil || !slices.Equal(m.kinds(), []string{"Apache-2.0"}) {
		t.Errorf("%v, %v", m.kinds(), err)
	}
}
