package serve

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gpudae/data"
)

// route is a row of the table of routes, by path.
type route struct {
	method string // GET also stands for HEAD
	open   bool   // to whoever has no token
	serve  func(w http.ResponseWriter, r *http.Request) error
}

// table is the table of routes.
func (s *Server) table() map[string]route {
	exposition := s.metrics.handler()
	routes := map[string]route{
		"/healthz":      {http.MethodGet, true, s.healthy},
		"/readyz":       {http.MethodGet, true, s.ready},
		"/openapi.json": {http.MethodGet, false, func(w http.ResponseWriter, _ *http.Request) error { return reply(w, typeJSON, s.openAPI) }},
		"/v1/model":     {http.MethodGet, false, func(w http.ResponseWriter, _ *http.Request) error { return reply(w, typeJSON, s.config.About) }},
		"/metrics": {http.MethodGet, false, func(w http.ResponseWriter, r *http.Request) error {
			exposition.ServeHTTP(w, r)
			return nil
		}},
	}
	for i := range s.config.Operations {
		op := &s.config.Operations[i]
		path := "/v1/" + op.Name
		routes[path] = route{http.MethodPost, false, func(w http.ResponseWriter, r *http.Request) error {
			sigma, err := noiseOf(r, op)
			if err != nil {
				return err
			}
			return s.operate(w, r, path, numberTypes(), func(ctx context.Context, kind, wanted string, body []byte) ([]byte, int, error) {
				return s.compute(ctx, op, sigma, kind, wanted, body)
			})
		}}
	}
	for i := range s.config.Table.operations() {
		op := &s.config.Table.Operations[i]
		path := "/v1/" + op.Name
		routes[path] = route{http.MethodPost, false, func(w http.ResponseWriter, r *http.Request) error {
			request, err := op.request(r.URL.Query())
			if err != nil {
				return err
			}
			return s.operate(w, r, path, tableTypes(), func(ctx context.Context, kind, wanted string, body []byte) ([]byte, int, error) {
				return s.computeTable(ctx, op, request, kind, wanted, body)
			})
		}}
	}
	return routes
}

func reply(w http.ResponseWriter, kind string, body []byte) error {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // a client that is gone needs no answer
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	recorder := &recorder{ResponseWriter: w, code: http.StatusOK}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	found, known := s.routes[r.URL.Path]
	name := r.URL.Path
	if !known {
		name = "other"
	}
	if err := s.dispatch(recorder, r, found, known); err != nil {
		problemOf(err).write(recorder)
	}
	s.metrics.request(name, recorder.code, time.Since(began))
}

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, found route, known bool) error {
	switch {
	case !found.open && !s.allowed(r):
		return refuse(http.StatusUnauthorized, "no bearer token, or a wrong one")
	case !known:
		return refuse(http.StatusNotFound, "no such path; GET /openapi.json lists them")
	case r.Method != found.method && !(r.Method == http.MethodHead && found.method == http.MethodGet):
		return &problem{status: http.StatusMethodNotAllowed, text: "method " + strconv.QuoteToASCII(r.Method) + "; use " + found.method, allow: found.method}
	}
	return found.serve(w, r)
}

// problemOf is what a client is told of an error.
func problemOf(err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return refuse(http.StatusServiceUnavailable, "not computed in time; try again later")
	}
	return refuse(http.StatusInternalServerError, "the computation failed: %v", err)
}

// allowed reports whether a request has the token. Digests are compared, so
// that the time tells nothing, not even of its length.
func (s *Server) allowed(r *http.Request) bool {
	if s.config.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(s.config.Token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, typeJSON, []byte("{\"status\":\"ok\"}\n"))
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return draining()
	}
	return s.healthy(w, r)
}

func draining() error { return refuse(http.StatusServiceUnavailable, "the server is ending") }

// computation is the way of a body of some media type from its bytes to those of
// the answer.
type computation func(ctx context.Context, kind, wanted string, body []byte) (text []byte, rows int, err error)

// operate answers POST /v1/NAME, whose bodies and answers are of the types.
func (s *Server) operate(w http.ResponseWriter, r *http.Request, path string, types []string, compute computation) error {
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
		return draining()
	}
	limits := s.config.Limits
	kind, err := bodyType(r, types)
	if err != nil {
		return err
	}
	wanted, err := answerType(r, kind, types)
	if err != nil {
		return err
	}
	if r.ContentLength > limits.Body {
		return refuse(http.StatusRequestEntityTooLarge, "a body of %d bytes; send at most %d", r.ContentLength, limits.Body)
	}
	size := r.ContentLength
	if size < 0 { // it does not say
		size = limits.Body
	}
	leave, ok := s.gate.enter(size)
	if !ok {
		return refuse(http.StatusTooManyRequests, "too many requests at once; try again later")
	}
	defer leave()
	body, err := readBody(w, r, limits.Body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), limits.Time)
	defer cancel()
	text, rows, err := compute(ctx, kind, wanted, body)
	if err != nil {
		return err
	}
	s.metrics.rows.WithLabelValues(path).Add(float64(rows))
	if wanted == typeCSV {
		wanted += "; charset=utf-8"
	}
	return reply(w, wanted, text)
}

// compute is the computation of rows of numbers.
func (s *Server) compute(ctx context.Context, op *Operation, sigma float64, kind, wanted string, body []byte) (text []byte, rows int, err error) {
	schema := s.config.Schema
	x, err := form{schema.Features, schema.Columns, schema.Scale, s.config.Limits.Rows}.parse(ctx, kind, body)
	if err != nil {
		return nil, 0, err
	}
	z, err := s.config.Scaler.Apply(x)
	if err != nil {
		return nil, 0, fromData(err, schema.Columns)
	}
	y, err := s.batcher.compute(&job{ctx: ctx, group: group{op, sigma}, x: z})
	if err != nil {
		return nil, 0, err
	}
	if op.Finish != nil {
		if y, err = op.Finish(y); err != nil {
			return nil, 0, unprocessable(err, schema)
		}
	}
	text, err = op.answer(wanted, y)
	return text, z.Shape()[0], err
}

// unprocessable is the problem of a row whose result is no number.
func unprocessable(err error, schema data.Info) error {
	err = fromData(err, schema.Columns)
	var p *problem
	if errors.As(err, &p) {
		p.status, p.text = http.StatusUnprocessableEntity, "the result leaves the range of float32; such a row is far from the data of training"
	}
	return err
}

// noiseOf reads the parameter sigma; there is no other.
func noiseOf(r *http.Request, op *Operation) (float64, error) {
	var given *float64
	for key, values := range r.URL.Query() {
		if key != "sigma" || op.Noise == nil {
			return 0, refuse(http.StatusBadRequest, "unknown parameter %s", strconv.QuoteToASCII(key))
		}
		v, err := strconv.ParseFloat(values[0], 64)
		if err != nil || len(values) > 1 {
			return 0, refuse(http.StatusBadRequest, "sigma is one number, such as 0.5")
		}
		given = &v
	}
	if op.Noise == nil {
		return 0, nil
	}
	sigma, err := op.Noise(given)
	if err != nil {
		return 0, refuse(http.StatusUnprocessableEntity, "sigma: %v", err)
	}
	return sigma, nil
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach what is beneath.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
