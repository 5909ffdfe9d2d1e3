package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command runs a command line in this process.
func command(t *testing.T, environ []string, args ...string) {
	t.Helper()
	var stderr bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr, environ: environ, began: time.Now()}
	if code := p.run(t.Context(), append([]string{"gpudae"}, args...)); code != exitOK {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr.String())
	}
}

// startServe runs `gpudae serve` in this process; end stops it as SIGTERM does and returns its exit code.
func startServe(t *testing.T, environ []string, args ...string) (url string, end func() int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "url")
	ctx, cancel := context.WithCancelCause(context.Background())
	code := make(chan int, 1)
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, environ: environ, began: time.Now()}
	go func() {
		code <- p.run(ctx, append([]string{"gpudae", "serve", "--listen", "127.0.0.1:0", "--url-file", file}, args...))
	}()
	end = sync.OnceValue(func() int {
		cancel(&signalError{syscall.SIGTERM})
		return <-code
	})
	t.Cleanup(func() { end() })
	for {
		if text, err := os.ReadFile(file); err == nil {
			return strings.TrimSpace(string(text)), end
		}
		select {
		case c := <-code:
			t.Fatalf("serve ended with %d", c)
		case <-time.After(time.Millisecond):
		}
	}
}

// testTable is a CSV file of points near a line.
func testTable(t *testing.T) (path string, rows [][2]float64) {
	t.Helper()
	var text strings.Builder
	text.WriteString("width,height\n")
	for i := range 40 {
		row := [2]float64{float64(i) + 0.1, float64(20+i*i%7) / 3}
		rows = append(rows, row)
		fmt.Fprintf(&text, "%v,%v\n", row[0], row[1])
	}
	path = filepath.Join(t.TempDir(), "table.csv")
	if err := os.WriteFile(path, []byte(text.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return path, rows
}

// TestServeGivesTheNumbersOfTheCommands: each answer, of requests that come
// together, is bit for bit what the command writes.
func TestServeGivesTheNumbersOfTheCommands(t *testing.T) {
	table, rows := testTable(t)
	dir := t.TempDir()
	for _, m := range []struct {
		name     string
		train    []string
		commands map[string][]string // path: command and flags
	}{
		{"dae", []string{"--corruption", "gaussian:0.5"}, map[string][]string{"denoise": {"denoise"}, "encode": {"encode"}, "score": {"score"}, "score?sigma=0.25": {"score", "--sigma", "0.25"}}},
		{"score", []string{"--objective", "dsm"}, map[string][]string{"denoise?sigma=0.3": {"denoise", "--sigma", "0.3"}, "encode": {"encode"}, "score": {"score"}}},
		{"masking", []string{"--corruption", "masking:0.2"}, map[string][]string{"denoise": {"denoise"}, "encode": {"encode"}}},
	} {
		run := filepath.Join(dir, m.name)
		command(t, []string{noReportVariable + "=1", noEventsVariable + "=1"}, append([]string{"train", table, "-o", run, "--hidden", "16,8", "--epochs", "1", "-q"}, m.train...)...)
		url, end := startServe(t, nil, run)
		var all sync.WaitGroup
		for path, args := range m.commands {
			out := filepath.Join(dir, "out.npy")
			command(t, nil, append(args, run, table, "-o", out)...)
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			for first := 0; first < len(rows); first += 5 {
				all.Go(func() { comparePart(t, url+"/v1/"+path, rows[first:], want, first) })
			}
		}
		all.Wait()
		answer, err := http.Post(url+"/v1/score", "application/json", strings.NewReader(`{"rows": [[1, 2]]}`))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if want := map[bool]int{true: 200, false: 404}[m.name != "masking"]; answer.StatusCode != want {
			t.Errorf("%s: score: %d, want %d", m.name, answer.StatusCode, want)
		}
		if code := end(); code != 143 {
			t.Errorf("after SIGTERM: exit code %d, want 143", code)
		}
	}
}

// comparePart sends rows as JSON and compares the elements of the answer, an
// NPY file, with the last of another.
func comparePart(t *testing.T, url string, rows [][2]float64, whole []byte, first int) {
	body := strings.ReplaceAll(fmt.Sprint(rows), " ", ",")
	r, err := http.NewRequest("POST", url, strings.NewReader(`{"rows":`+body+`}`))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/x-npy")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Errorf("%s: %d %s %v", url, answer.StatusCode, got, err)
		return
	}
	const header = 128 // of an array of this size
	if size := (len(whole) - header) / (first + len(rows)) * len(rows); !bytes.Equal(got[header:], whole[len(whole)-size:]) {
		t.Errorf("%s from row %d: not the bits of the command", url, first)
	}
}

// TestServeTLSAndToken: with a certificate the server speaks TLS alone; the token
// comes from a file or from the environment.
func TestServeTLSAndToken(t *testing.T) {
	table, _ := testTable(t)
	dir := t.TempDir()
	run, cert, key, token := filepath.Join(dir, "run"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "token")
	command(t, nil, "train", table, "-o", run, "--hidden", "4", "--epochs", "1", "-q")
	pool := writeCertificate(t, cert, key)
	if err := os.WriteFile(token, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, given := range []struct{ environ, args []string }{
		{nil, []string{"--token-file", token}},
		{[]string{tokenVariable + "=0123456789abcdef"}, nil},
	} {
		url, end := startServe(t, given.environ, append([]string{run, "--tls-cert", cert, "--tls-key", key}, given.args...)...)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		for authorization, want := range map[string]int{"": 401, "Bearer 0123456789abcdeF": 401, "Bearer 0123456789abcdef": 200} {
			r, err := http.NewRequest("GET", url+"/v1/model", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", authorization)
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%q: %d, want %d", authorization, answer.StatusCode, want)
			}
		}
		if answer, err := http.Get("http" + strings.TrimPrefix(url, "https") + "/healthz"); err == nil && answer.StatusCode == 200 {
			t.Error("plain HTTP was answered")
		}
		end()
	}
}

// writeCertificate writes a certificate for 127.0.0.1 that signs itself.
func writeCertificate(t *testing.T, cert, key string) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		text := pem.EncodeToMemory(block)
		pool.AppendCertsFromPEM(text)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

// TestCheckListen: only loopback addresses need neither token nor consent.
func TestCheckListen(t *testing.T) {
	for address, private := range map[string]bool{
		"127.0.0.1:0": true, "127.8.8.8:80": true, "[::1]:80": true, "localhost:80": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "192.168.1.2:80": false, "example.org:80": false,
	} {
		if err := checkListen(address, false); (err == nil) != private {
			t.Errorf("%s: %v", address, err)
		}
		if err := checkListen(address, true); err != nil {
			t.Errorf("%s, allowed: %v", address, err)
		}
	}
	if err := checkListen("8080", true); err == nil {
		t.Error("8080 is an address")
	}
}
