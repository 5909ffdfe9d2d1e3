// Package serve answers HTTP requests with what a model computes of rows of
// numbers, or of a table of mixed columns.
//
// A request passes these stations: a table of routes and the check of a bearer
// token (routes.go); limits on how many requests and bytes are taken at once
// (limit.go); the reading of its body, JSON or NPY, of tables JSON or CSV, with
// the row and the column of whatever is wrong in it (body.go, scan.go,
// tablebody.go); a queue, and behind it the one goroutine that computes, which
// puts requests that wait together into batches (batch.go); and the answer
// (answer.go, tableanswer.go). Nothing here grows with the number of
// clients: what is beyond the limits is refused with 429, and with 503 while the
// server drains.
//
// The package must not know models, devices or the command line: what is
// computed is given to it as Operations, and what cells mean as a Table.
package serve

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"gorgonia.org/tensor"

	"gpudae/data"
)

// Operation is what POST /v1/NAME computes of rows.
type Operation struct {
	Name string
	// Noise checks the parameter sigma of a request, nil if there is none, and
	// returns what Compute is given. A nil Noise refuses the parameter.
	Noise func(given *float64) (float64, error)
	// Compute returns a row for each row of x [rows, features], which is in the
	// scale of training. Only one goroutine calls it.
	Compute func(ctx context.Context, x *tensor.Dense, sigma float64) (*tensor.Dense, error)
	// Finish brings results to the scale of the data; nil leaves them. It is
	// called by many goroutines.
	Finish func(y *tensor.Dense) (*tensor.Dense, error)
	// Shape is that of a row of the answer; Columns names its numbers, nil if they
	// have no names.
	Shape   []int
	Columns []string
}

func (op *Operation) compute(ctx context.Context, x *tensor.Dense, _ []int, shared any) (*tensor.Dense, error) {
	return op.Compute(ctx, x, shared.(float64))
}

// Limits bound what a server takes. All are positive.
type Limits struct {
	Body        int64         // bytes of a request's body
	Rows        int           // of a request
	Requests    int           // in progress or waiting at once
	Bytes       int64         // of the bodies of these requests together, at least Body
	Connections int           // open at once; more wait in the system's queue
	Batch       int           // rows that are computed together
	Time        time.Duration // for reading a request, for its computation, and for taking the answer
	Drain       time.Duration // for the requests in progress when the server ends
}

// DefaultLimits are those of the command line.
func DefaultLimits() Limits {
	return Limits{Body: 8 << 20, Rows: 4096, Requests: 64, Bytes: 32 << 20, Connections: 512, Batch: 256,
		Time: 30 * time.Second, Drain: 30 * time.Second}
}

// Config describes a server.
type Config struct {
	Schema     data.Info    // of the rows that it takes
	Scaler     *data.Scaler // what brings them to the scale of training
	Operations []Operation
	Table      *Table          // of a server of a table of mixed columns, which has no Operations; nil: none
	About      json.RawMessage // what GET /v1/model answers
	Version    string          // of the program
	Token      string          // a bearer token that requests must have; empty: none
	TLS        *tls.Config     // nil: plain HTTP
	Limits     Limits
}

// Server is a server; New makes it and Run runs it, once.
type Server struct {
	config   Config
	routes   map[string]route
	openAPI  []byte
	gate     *gate
	batcher  *batcher
	metrics  *metrics
	draining atomic.Bool
}

// New returns a server that does not listen yet.
func New(c Config) (*Server, error) {
	l := c.Limits
	if l.Body < 1 || l.Rows < 1 || l.Requests < 1 || l.Bytes < l.Body || l.Connections < 1 || l.Batch < 1 || l.Time <= 0 || l.Drain <= 0 {
		return nil, fmt.Errorf("limits of a server: %+v", l)
	}
	s := &Server{config: c, gate: newGate(l.Requests, l.Bytes)}
	s.metrics = newMetrics(s.gate)
	s.batcher = newBatcher(l.Batch, l.Requests, s.metrics)
	s.routes = s.table()
	var err error
	s.openAPI, err = describe(c)
	return s, err
}

// Run serves on a listener, which it closes, until ctx ends; then it takes
// nothing more, finishes what it has taken, within Limits.Drain, and returns
// ctx's error.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	l := s.config.Limits
	quiet := &silent{conns: map[net.Conn]bool{}}
	server := &http.Server{
		ConnState:         quiet.observe,
		Handler:           s,
		ReadHeaderTimeout: min(l.Time, 10*time.Second),
		ReadTimeout:       l.Time,
		WriteTimeout:      3 * l.Time, // it counts from the header on
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		TLSConfig:         s.config.TLS,
	}
	listener = limitConnections(listener, l.Connections)
	if s.config.TLS != nil {
		listener = tls.NewListener(listener, s.config.TLS)
	}
	compute, stop := context.WithCancel(context.WithoutCancel(ctx))
	computing := make(chan struct{})
	go func() {
		defer close(computing)
		s.batcher.run(compute)
	}()
	defer func() {
		stop()
		<-computing
	}()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Drain)
	defer cancel()
	quiet.close()
	if err := server.Shutdown(within); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("ending the server: %w", err), server.Close())
	}
	return ctx.Err()
}
