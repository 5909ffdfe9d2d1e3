package main

import (
	"testing"

	"gpudae/table"
)

// TestNamesOfTheResultAreApart: columns whose losses would have the same name are told.
func TestNamesOfTheResultAreApart(t *testing.T) {
	for names, want := range map[[2]string]string{{"a", "b"}: "", {"a", "a_z"}: "a_z_loss", {"anomaly", "max_abs"}: ""} {
		s := &table.Schema{}
		for _, name := range names {
			s.Columns = append(s.Columns, table.Column{Name: name, Kind: table.Numeric, Fit: &table.Fit{Kind: table.Numeric, Deviation: 1, High: 1}})
		}
		decoder, err := s.NewDecoder(false)
		if err != nil {
			t.Fatal(err)
		}
		d := detector{decoder: decoder}
		if got := d.twice(); got != want {
			t.Errorf("%q: %q is there twice, want %q", names, got, want)
		}
		if d.brief = true; d.twice() != "" {
			t.Errorf("%q: %q is there twice without the columns by feature", names, d.twice())
		}
	}
}
