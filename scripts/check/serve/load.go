//go:build ignore

// Load puts a server under load from many clients at once, for a while, and
// reports throughput, latencies and the server's resident memory, which must
// stay flat; then it floods it with more than it takes, with malformed and slow
// requests, and counts what came back: 200, 429 or another 4xx, nothing else.
//
// With TABLE, the CSV file of a table of mixed columns whose model is served, rows of
// that are filled in by draws, in place of digits that are denoised.
//
// usage: load URL PID CLIENTS SECONDS [TABLE]
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const features = 64 // of the digits

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	if len(os.Args) != 5 && len(os.Args) != 6 {
		log.Fatal("usage: load URL PID CLIENTS SECONDS [TABLE]")
	}
	url, pid := os.Args[1], os.Args[2]
	clients, err := strconv.Atoi(os.Args[3])
	check(err)
	seconds, err := strconv.Atoi(os.Args[4])
	check(err)
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 512
	half := time.Duration(seconds) * time.Second / 2

	k := kind{url + "/v1/denoise", "application/json", rows, []byte(`{"rows": [[1, NaN`), 400}
	if len(os.Args) == 6 {
		text, err := os.ReadFile(os.Args[5])
		check(err)
		k = kind{url + "/v1/impute?m=1", "text/csv", linesOf(string(text)), append(linesOf(string(text))(0), "1,\""...), 422}
	}
	body := k.rows(4)
	load(k, body, clients, half/4) // so that pools are filled
	before := resident(pid)
	first := load(k, body, clients, half)
	middle := resident(pid)
	second := load(k, body, clients, half)
	after := resident(pid)
	fmt.Printf("%d clients, 4 rows a request: %s\n", clients, first)
	fmt.Printf("the same again:              %s\n", second)
	fmt.Printf("resident memory: %.1f MiB, then %.1f, then %.1f\n", before, middle, after)
	if first.codes[200] != len(first.times) || second.codes[200] != len(second.times) {
		log.Fatal("not all requests were answered 200")
	}
	if after > 1.25*before+16 {
		log.Fatal("the memory grew")
	}
	flood(url, k, pid)
}

// kind is what is asked for.
type kind struct {
	url, media string
	rows       func(n int) []byte // a body
	malformed  []byte
	refused    int // the status of what is malformed
}

// linesOf makes bodies of so many lines of a text, again and again, below its first.
func linesOf(text string) func(n int) []byte {
	lines := strings.SplitAfter(text, "\n")
	names, lines := lines[0], lines[1:len(lines)-1]
	return func(n int) []byte {
		body := []byte(names)
		for i := range n {
			body = append(body, lines[i%len(lines)]...)
		}
		return body
	}
}

// flood sends what is too much, malformed and slow, at once.
func flood(url string, k kind, pid string) {
	before := resident(pid)
	var all sync.WaitGroup
	var large, bad result
	all.Go(func() { large = load(k, k.rows(4096), 200, 3*time.Second) })
	all.Go(func() { bad = load(k, k.malformed, 20, 3*time.Second) })
	for range 100 { // connections that never finish a header
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		check(err)
		defer c.Close()
		fmt.Fprint(c, "POST /v1/denoise HTTP/1.1\r\n")
	}
	peak := before
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-time.After(20 * time.Millisecond):
			peak = max(peak, resident(pid))
		}
	}
	fmt.Printf("flood: 200 clients of 4096 rows each: %s, %v\n", large, large.codes)
	fmt.Printf("with 20 clients of malformed bodies: %v\n", bad.codes)
	fmt.Printf("resident memory: %.1f MiB before, %.1f at most\n", before, peak)
	for code := range large.codes {
		if code != 200 && code != 429 {
			log.Fatalf("a large request was answered %d", code)
		}
	}
	for code := range bad.codes {
		if code != k.refused && code != 429 {
			log.Fatalf("a malformed body was answered %d", code)
		}
	}
	if large.codes[200] == 0 || large.codes[429] == 0 {
		log.Fatal("a flood should be answered in part, and in part refused")
	}
	if peak > 1024 {
		log.Fatal("the memory is not bounded")
	}
}

// result is what came back.
type result struct {
	codes map[int]int
	times []time.Duration
	took  time.Duration
}

// String is throughput and latencies.
func (r result) String() string {
	slices.Sort(r.times)
	at := func(q float64) time.Duration {
		return r.times[int(q*float64(len(r.times)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%.0f requests/s, p50 %v, p99 %v", float64(len(r.times))/r.took.Seconds(), at(0.5), at(0.99))
}

// load posts the body again and again, from a number of clients.
func load(k kind, body []byte, clients int, while time.Duration) result {
	all := result{codes: map[int]int{}}
	began := time.Now()
	var mu sync.Mutex
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for time.Since(began) < while {
				sent := time.Now()
				answer, err := http.Post(k.url, k.media, bytes.NewReader(body))
				if err != nil { // refused before the body was sent: the connection is closed
					continue
				}
				_, err = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				mu.Lock()
				all.codes[answer.StatusCode]++
				all.times = append(all.times, time.Since(sent))
				mu.Unlock()
			}
		})
	}
	group.Wait()
	all.took = time.Since(began)
	if len(all.times) == 0 {
		log.Fatal("no request was answered")
	}
	return all
}

// rows is a JSON body.
func rows(n int) []byte {
	values := make([][]float32, n)
	for i := range values {
		for j := range features {
			values[i] = append(values[i], float32((i*features+j)%17)/16)
		}
	}
	text, err := json.Marshal(map[string]any{"rows": values})
	check(err)
	return text
}

// resident is the memory of a process in MiB.
func resident(pid string) float64 {
	text, err := os.ReadFile("/proc/" + pid + "/statm")
	check(err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	check(err)
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
