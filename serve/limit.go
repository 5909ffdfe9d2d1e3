package serve

import (
	"net"
	"net/http"
	"sync"
)

// gate bounds the requests in progress and the bytes of their bodies.
type gate struct {
	mu       sync.Mutex
	requests int   // that may still enter
	bytes    int64 // likewise
	most     int
}

func newGate(requests int, bytes int64) *gate {
	return &gate{requests: requests, bytes: bytes, most: requests}
}

// enter takes a place for a body of so many bytes, or reports that there is none;
// leave gives it back.
func (g *gate) enter(bytes int64) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.requests == 0 || g.bytes < bytes {
		return nil, false
	}
	g.requests, g.bytes = g.requests-1, g.bytes-bytes
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.requests, g.bytes = g.requests+1, g.bytes+bytes
	}, true
}

// inside is the number of requests in progress.
func (g *gate) inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most - g.requests
}

// limitedListener accepts a connection only while fewer than a number are open.
type limitedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func limitConnections(l net.Listener, most int) net.Listener {
	return &limitedListener{Listener: l, places: make(chan struct{}, most), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

// Close implements net.Listener; it also ends an Accept that waits for a place.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// silent are the connections that have not sent anything yet. http.Server waits
// seconds for them when it ends, though what they send would only be refused.
type silent struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// observe is an http.Server.ConnState.
func (s *silent) observe(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew {
		s.conns[c] = true
	} else {
		delete(s.conns, c)
	}
}

func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close() // nothing was taken from it
	}
}
