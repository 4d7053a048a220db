package main

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// requestMetrics counts requests to the API.
type requestMetrics struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newRequestMetrics() requestMetrics {
	return requestMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orch_api_requests_total", Help: "Requests to the API of this node, by route, method and status.",
		}, []string{"route", "method", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "orch_api_request_duration_seconds", Help: "How long answers took, by route; streams take as long as they are read.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10},
		}, []string{"route"}),
	}
}

func (m requestMetrics) observe(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.took.WithLabelValues(route).Observe(took.Seconds())
}

// metricsOf makes what a node exports: its own, those of requests, of Go, and of
// the process. Nothing of it is shared with another node in this process.
func metricsOf(in *inside) (http.Handler, requestMetrics) {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "orch_build_info", Help: "1; the labels say what runs."}, []string{"version", "goversion"})
	v := buildVersion()
	info.WithLabelValues(v.Version, v.Go).Set(1)
	requests, all := newRequestMetrics(), prometheus.NewRegistry()
	all.MustRegister(in.Metrics(), requests.requests, requests.took, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{DisableCompression: true}), requests
}

// profiles serves Go's profiles of this process.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
