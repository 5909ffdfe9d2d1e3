package serve

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what GET /metrics tells. Labels take a fixed set of values: a path
// that is no route is "other".
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	rows     *prometheus.CounterVec
	batches  prometheus.Histogram
	together prometheus.Histogram
}

func newMetrics(g *gate) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gpudae_requests_total", Help: "Requests answered, by route and status."}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gpudae_request_seconds", Help: "Time from a request's header to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}, []string{"route"}),
		rows:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gpudae_rows_total", Help: "Rows answered, by route."}, []string{"route"}),
		batches:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gpudae_batch_rows", Help: "Rows computed together.", Buckets: prometheus.ExponentialBuckets(1, 2, 13)}),
		together: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gpudae_batch_requests", Help: "Requests computed together.", Buckets: prometheus.ExponentialBuckets(1, 2, 8)}),
	}
	inside := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gpudae_requests_in_progress", Help: "Requests that are read, wait in the queue or are computed."},
		func() float64 { return float64(g.inside()) })
	m.registry.MustRegister(m.requests, m.seconds, m.rows, m.batches, m.together, inside,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) request(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) batch(requests, rows int) {
	m.together.Observe(float64(requests))
	m.batches.Observe(float64(rows))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
