package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/anomaly"
	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/atomicfile"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/sample"
	"gpudae/serve"
	"gpudae/train"
)

// tokenVariable holds a bearer token; it is no setting, so that no file records it.
const tokenVariable = environmentPrefix + "TOKEN"

// minToken is the least length of a token.
const minToken = 16

func (p *program) serveCommand() *cli.Command {
	limits, machine := serve.DefaultLimits(), defaultMachine()
	return &cli.Command{
		Name:      "serve",
		Usage:     "answer HTTP requests with a model",
		ArgsUsage: "MODEL",
		Description: `POST /v1/denoise, /v1/encode and, where the model has one, /v1/score take rows as
JSON, {"rows": [[...], ...]} or {"records": [{"column": ...}, ...]}, or as an NPY
file, and answer in the kind that Accept asks for. A model of a table of mixed
columns has /v1/denoise, /v1/encode, /v1/impute and /v1/anomaly, and takes JSON and
CSV; a fine-tuned model has /v1/predict. Answers are what the commands of these
names give. GET /v1/model, /metrics, /healthz, /readyz and
/openapi.json, which describes it all. Requests that wait are computed together;
more than --requests at once are answered 429. SIGINT and SIGTERM end the server
after what it has taken. An address that is not of this machine alone is refused
without a token, unless --insecure is given.

Examples:
  gpudae serve runs/mine
  curl -H 'Content-Type: application/json' -d '{"rows": [[0.5, 1]]}' http://127.0.0.1:8080/v1/denoise
  GPUDAE_TOKEN=$(cat token) gpudae serve runs/mine --listen :8443 --tls-cert cert.pem --tls-key key.pem`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "listen", Category: "Server", Usage: "`ADDRESS` host and port, 0 for any free port", Value: "127.0.0.1:8080", DefaultText: "127.0.0.1:8080"},
			&cli.StringFlag{Name: "url-file", Category: "Server", Usage: "`FILE` that is given the server's URL once it listens"},
			&cli.StringFlag{Name: "token-file", Category: "Access", Usage: "`FILE` that holds the bearer token of all requests", DefaultText: "that of " + tokenVariable},
			&cli.StringFlag{Name: "tls-cert", Category: "Access", Usage: "`FILE` PEM certificate, with those that sign it"},
			&cli.StringFlag{Name: "tls-key", Category: "Access", Usage: "`FILE` its PEM key"},
			&cli.BoolFlag{Name: "insecure", Category: "Access", Usage: "listen on a public address without a token"},
			&cli.StringFlag{Name: "calibrate", Category: "Anomalies", Usage: "`DATA` ordinary rows that were not trained on", DefaultText: "the rows held out of training"},
			&cli.Int64Flag{Name: "max-body", Category: "Limits", Usage: "`BYTES` of a request's body", Value: limits.Body, DefaultText: fmt.Sprint(limits.Body)},
			&cli.IntFlag{Name: "max-rows", Category: "Limits", Usage: "`N` rows of a request", Value: limits.Rows, DefaultText: fmt.Sprint(limits.Rows)},
			&cli.IntFlag{Name: "requests", Category: "Limits", Usage: "`N` requests at once, with those that wait", Value: limits.Requests, DefaultText: fmt.Sprint(limits.Requests)},
			&cli.DurationFlag{Name: "timeout", Category: "Limits", Usage: "`TIME` to read a request, to compute it, to send its answer", Value: limits.Time, DefaultText: limits.Time.String()},
		}, flagsOf(machineTable(), &machine), []cli.Flag{&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: "Output", Usage: "no logs"}}),
		Action: p.serve,
	}
}

func (p *program) serve(c *cli.Context) error {
	if err := arguments(c, "MODEL"); err != nil {
		return err
	}
	machine, origins, err := p.machineOf(c)
	if err == nil {
		err = checkMachine(machine, origins)
	}
	if err != nil {
		return err
	}
	config := serve.Config{Version: version()}
	if config.Limits, err = serveLimits(c); err != nil {
		return err
	}
	if config.Token, err = p.token(c.String("token-file")); err != nil {
		return err
	}
	if config.TLS, err = certificate(c.String("tls-cert"), c.String("tls-key")); err != nil {
		return err
	}
	if err := checkListen(c.String("listen"), config.Token != "" || c.Bool("insecure")); err != nil {
		return err
	}
	saved, err := train.LoadAny(c.Args().First())
	if err != nil {
		return err
	}
	if c.IsSet("calibrate") && (saved.Columns == nil || saved.DAE.IsPredictor()) {
		return usage("--calibrate", c.Args().First()+" is no model that finds anomalies", "leave it out")
	}
	console := newConsole(p.stderr, c.Bool("quiet"))
	return p.serveModel(c, saved, config, machine, origins, console)
}

// serveModel serves until the context ends.
func (p *program) serveModel(c *cli.Context, saved *train.Saved, config serve.Config, machine machineSettings, origins settings.Origins, console *console) error {
	header, calibration, err := p.tableServed(c, saved, machine, origins, console)
	if err != nil {
		return err
	}
	dev, err := openDevice(machine, origins, console.logf)
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := describeFor(&config, saved, dev, header, calibration); err != nil {
		return err
	}
	server, err := serve.New(config)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.String("listen"))
	if err != nil {
		return &failure{code: exitFailure, where: "--listen", problem: "cannot listen on " + c.String("listen") + ": " + listenProblem(err), remedy: "choose another address", err: err}
	}
	url := "http://" + listener.Addr().String()
	if config.TLS != nil {
		url = "https://" + listener.Addr().String()
	}
	if path := c.String("url-file"); path != "" {
		if err := atomicfile.Write(path, func(w io.Writer) error { _, err := io.WriteString(w, url+"\n"); return err }); err != nil {
			listener.Close()
			return err
		}
	}
	console.logf("serving %s on %s", c.Args().First(), url)
	return server.Run(c.Context, listener)
}

// listenProblem is why, without where.
func listenProblem(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// tableServed finds what a server of a table of mixed columns needs beside its
// model: how CSV is read, and what is ordinary, nil where nothing tells.
func (p *program) tableServed(c *cli.Context, saved *train.Saved, machine machineSettings, origins settings.Origins, console *console) (data.Header, *anomaly.Calibration, error) {
	if saved.Columns == nil {
		return 0, nil, nil
	}
	o := &inferenceOptions{model: c.Args().First(), machine: machine, origins: origins, console: console}
	if saved.DAE.IsPredictor() {
		reading, err := readingOfPredictor(c, saved)
		return reading.options(p).Header, nil, err
	}
	trained, err := savedSettings(saved)
	if err != nil {
		return 0, nil, err
	}
	o.reading = inputOptions{header: trained.Header}
	schema, err := schemaOf(saved)
	if err != nil {
		return 0, nil, err
	}
	calibrator := calibrator{o, saved, schema, defaultGroups(saved.DAE), c.String("calibrate")}
	calibration, err := calibrator.calibration(c.Context, p)
	switch {
	case err != nil && (c.IsSet("calibrate") || c.Context.Err() != nil):
		return 0, nil, err
	case err != nil:
		console.logf("there is no /v1/anomaly: %v", err)
	default:
		console.logf("anomalies: calibrated on %s, which tell no rate below %.3g", count(len(calibration.Scores[anomaly.MaxAbsZ]), "row"), calibration.LeastRate())
	}
	return o.reading.options(p).Header, calibration, nil
}

// describeFor sets what a server has from its model.
func describeFor(config *serve.Config, saved *train.Saved, dev device.Device, header data.Header, calibration *anomaly.Calibration) error {
	net, _, err := saved.Bind(dev, config.Limits.Batch)
	if err != nil {
		return err
	}
	config.Schema, config.Scaler = saved.Schema, &saved.Scaler
	if saved.Columns == nil {
		config.Operations = operations(saved, net)
	} else {
		filling := net
		if !saved.DAE.IsPredictor() {
			known := *saved
			known.Params = saved.DAE.WithoutUnknown(saved.Params)
			if filling, _, err = known.Bind(dev, config.Limits.Batch); err != nil {
				return err
			}
		}
		s, err := newServedTable(saved, net, filling, calibration)
		if err != nil {
			return err
		}
		config.Table = s.table(header)
	}
	about, err := inspectionOf(saved)
	if err != nil {
		return err
	}
	about.Path = filepath.Base(about.Path)
	if config.About, err = json.Marshal(about); err != nil {
		return fmt.Errorf("describing the model: %w", err)
	}
	return nil
}

// operations are what a model computes of rows of numbers, as the commands denoise,
// encode and score do, or predict.
func operations(saved *train.Saved, net *model.Net) []serve.Operation {
	s := &served{saved, net}
	schema := saved.Schema
	if saved.DAE.IsPredictor() {
		var names []string
		for _, c := range predictionColumns(saved.Target) {
			names = append(names, c.Name)
		}
		return []serve.Operation{{Name: "predict", Compute: s.predict, Finish: s.inUnits, Shape: []int{len(names)}, Columns: names}}
	}
	ops := []serve.Operation{
		{Name: "denoise", Noise: s.denoiseNoise, Compute: s.denoise, Finish: saved.Scaler.Invert, Shape: schema.Shape, Columns: schema.Columns},
		{Name: "encode", Compute: s.encode, Shape: []int{saved.DAE.CodeWidth()}, Columns: codeColumns(saved.DAE, false)},
	}
	if _, gaussian := sample.NoiseOf(saved.DAE.Corruption()); gaussian || saved.DAE.IsScoreModel() {
		ops = append(ops, serve.Operation{Name: "score", Noise: s.scoreNoise, Compute: s.score, Finish: s.unscaled, Shape: schema.Shape, Columns: schema.Columns})
	}
	return ops
}

// served is a model that is served. Only the goroutine that computes uses net.
type served struct {
	saved *train.Saved
	net   *model.Net
}

// asTrained is the σ of a request for the reconstruction at no noise of its own.
const asTrained = 0

// denoiseNoise: a denoising auto-encoder needs none, a score model of several
// levels does.
func (s *served) denoiseNoise(given *float64) (float64, error) {
	levels := s.saved.DAE.NoiseLevels()
	switch {
	case given != nil:
		return s.known(*given)
	case !s.saved.DAE.IsScoreModel():
		return asTrained, nil
	case len(levels) > 1:
		return 0, fmt.Errorf("the model knows noise from %.3g to %.3g; say how strong it is in the rows", levels[0], levels[len(levels)-1])
	}
	return levels[0], nil
}

// scoreNoise is by default the least that the model was trained under.
func (s *served) scoreNoise(given *float64) (float64, error) {
	switch {
	case given != nil && s.saved.DAE.IsScoreModel():
		return s.known(*given)
	case given != nil:
		return *given, checkNoise(*given)
	case s.saved.DAE.IsScoreModel():
		return s.saved.DAE.NoiseLevels()[0], nil
	}
	sigma, _ := sample.NoiseOf(s.saved.DAE.Corruption())
	return sigma, nil
}

func (s *served) known(sigma float64) (float64, error) {
	if err := checkNoise(sigma); err != nil {
		return 0, err
	}
	if len(s.saved.DAE.NoiseLevels()) == 0 || !s.saved.DAE.KnowsNoise(sigma) {
		return 0, fmt.Errorf("the model knows no noise of %g", sigma)
	}
	return sigma, nil
}

func checkNoise(sigma float64) error {
	if !(sigma >= 1/maxPositive && sigma <= maxPositive) {
		return fmt.Errorf("%g is not a positive number", sigma)
	}
	return nil
}

func (s *served) denoise(ctx context.Context, x *tensor.Dense, sigma float64) (*tensor.Dense, error) {
	if sigma == asTrained {
		return s.net.Denoise(ctx, x)
	}
	rows := data.Float32s(x)
	clean := make([]float32, len(rows))
	return tensor.New(tensor.WithShape(x.Shape()...), tensor.WithBacking(clean)), s.net.DenoiseAt(ctx, clean, rows, sigma)
}

func (s *served) predict(ctx context.Context, x *tensor.Dense, _ float64) (*tensor.Dense, error) {
	return s.net.Predict(ctx, x)
}

// inUnits makes of what a predictor puts out what predict writes into an array.
func (s *served) inUnits(y *tensor.Dense) (*tensor.Dense, error) {
	rows := predictedRows(s.saved.Target, y)
	return tensor.New(tensor.WithShape(len(rows), len(rows[0])), tensor.WithBacking(slices.Concat(rows...))), nil
}

func (s *served) encode(ctx context.Context, x *tensor.Dense, _ float64) (*tensor.Dense, error) {
	return s.net.Encode(ctx, x)
}

func (s *served) score(ctx context.Context, x *tensor.Dense, sigma float64) (*tensor.Dense, error) {
	return sample.Score(ctx, s.net, x, sigma)
}

func (s *served) unscaled(y *tensor.Dense) (*tensor.Dense, error) {
	unscaleScore(y, s.saved.Scaler)
	return y, nil
}

// serveLimits reads the limits of the command line.
func serveLimits(c *cli.Context) (serve.Limits, error) {
	l := serve.DefaultLimits()
	l.Body, l.Rows, l.Requests, l.Time = c.Int64("max-body"), c.Int("max-rows"), c.Int("requests"), c.Duration("timeout")
	l.Batch = inferenceBatch
	l.Bytes = max(l.Bytes, l.Body)
	switch {
	case l.Body < 1 || l.Body > 1<<30:
		return l, usage("--max-body", fmt.Sprintf("%d bytes", l.Body), "give 1 to 1073741824")
	case l.Rows < 1 || l.Rows > 1<<20:
		return l, usage("--max-rows", count(l.Rows, "row"), "give 1 to 1048576")
	case l.Requests < 1 || l.Requests > 1<<16:
		return l, usage("--requests", count(l.Requests, "request"), "give 1 to 65536")
	case l.Time < time.Millisecond || l.Time > time.Hour:
		return l, usage("--timeout", l.Time.String(), "give 1ms to 1h")
	}
	return l, nil
}

// token is that of a file, or of the environment; empty if there is none.
func (p *program) token(path string) (string, error) {
	token, where := "", tokenVariable
	for _, variable := range p.environ {
		if value, found := strings.CutPrefix(variable, tokenVariable+"="); found {
			token = value
		}
	}
	if path == "" && token == "" {
		return "", nil
	}
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", &failure{code: exitUsage, where: "--token-file", problem: path + ": " + openProblem(err), err: err}
		}
		token, where = string(bytes.TrimSpace(text)), "--token-file"
	}
	if len(token) < minToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usage(where, "a token that is short, or has spaces", fmt.Sprintf("give %d or more printable characters, e.g. of openssl rand -hex 32", minToken))
	}
	return token, nil
}

// certificate reads a pair of files; without them it is nil.
func certificate(cert, key string) (*tls.Config, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, usage("--tls-cert", "a certificate needs its key", "give both --tls-cert and --tls-key")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, &failure{code: exitUsage, where: "--tls-cert", problem: openProblem(err), remedy: "give PEM files that belong together", err: err}
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// checkListen refuses an address that others can reach, unless that is allowed.
func checkListen(address string, public bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usage("--listen", quoted(address)+" is no address", "write host:port, e.g. 127.0.0.1:8080")
	}
	ip := net.ParseIP(host)
	if public || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return usage("--listen", quoted(address)+" can be reached from other machines, and there is no token",
		"set "+tokenVariable+" or --token-file, listen on 127.0.0.1, or add --insecure")
}
