// Package tape keeps the operations that a device is asked for while it records, for plans of
// what can be done together, and answers which operations touch what.
//
// The package must not know any device: it sees the arguments of operations.
package tape

// Tape is operations in the order of their calls, and how each is issued by itself.
type Tape struct {
	operations []any
	issue      []func()
}

// Put adds an operation, given by its argument struct of package device.
func (t *Tape) Put(args any, issue func()) {
	t.operations = append(t.operations, args)
	t.issue = append(t.issue, issue)
}

// Operations returns the argument structs.
func (t *Tape) Operations() []any { return t.operations }

// Issue returns what issues operation i.
func (t *Tape) Issue(i int) func() { return t.issue[i] }
