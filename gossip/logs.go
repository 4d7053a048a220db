package gossip

import (
	"bytes"
	"context"
	stdlog "log"
	"log/slog"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
)

// Serf and memberlist call an error what is only the noise of a death (each failed
// probe, push or reconnect to a node that has gone), or of a node that looks whether
// the port is open.
var memberNoise = []string{
	"Failed fallback", "Push/Pull with", "Failed to send", "failed to receive: EOF", "Error accepting",
	"connection refused", "connection reset", "broken pipe", "i/o timeout",
	"Shutdown without a Leave", "network is unreachable", "discarding stream with unacceptable label",
	ErrVersions.Error(), // told once, by the gatekeeper
}

// They repeat with every probe what is no fault, and worth knowing.
var memberNews = []string{"over TCP but UDP probes failed"}

// memberLogger returns a logger for Serf and memberlist that writes to log. What
// they call an error is at most a warning here: whoever acts on it, or tells the
// user, is this package.
func memberLogger(log logrus.FieldLogger) *stdlog.Logger {
	return stdlog.New(memberLogWriter{log.WithField("from", "serf")}, "", 0)
}

type memberLogWriter struct{ log logrus.FieldLogger }

func (w memberLogWriter) Write(p []byte) (int, error) {
	level, msg := parseMemberLog(string(bytes.TrimSpace(p)))
	w.log.WithFields(nil).Log(level, msg)
	return len(p), nil
}

// parseMemberLog splits "[ERR] memberlist: text" into a level and a text.
func parseMemberLog(line string) (logrus.Level, string) {
	level, msg := logrus.DebugLevel, line
	if rest, ok := strings.CutPrefix(line, "["); ok {
		if name, text, ok := strings.Cut(rest, "] "); ok {
			msg = text
			switch name {
			case "ERR", "ERROR", "WARN":
				level = logrus.WarnLevel
			}
		}
	}
	has := func(part string) bool { return strings.Contains(msg, part) }
	switch {
	case slices.ContainsFunc(memberNoise, has):
		return logrus.DebugLevel, msg
	case slices.ContainsFunc(memberNews, has):
		return logrus.InfoLevel, msg
	}
	return level, msg
}

// SlogHandler returns a handler that writes libp2p's log to log. Install it once,
// before the first libp2p host is made, with
//
//	gologshim.SetDefaultHandler(gossip.SlogHandler(log))
//
// (package github.com/libp2p/go-libp2p/gologshim): libp2p's loggers take the
// default handler at their first line, and keep it. libp2p reports every failed
// dial and handshake; errors become warnings, all else is for debugging.
func SlogHandler(log logrus.FieldLogger) slog.Handler { return slogHandler{log: log} }

type slogHandler struct {
	log   logrus.FieldLogger
	group string
}

func slogLevel(l slog.Level) logrus.Level {
	switch {
	case l >= slog.LevelError:
		return logrus.WarnLevel
	case l >= slog.LevelWarn:
		return logrus.DebugLevel
	default:
		return logrus.TraceLevel
	}
}

func (h slogHandler) Enabled(_ context.Context, l slog.Level) bool {
	return h.log.WithFields(nil).Logger.IsLevelEnabled(slogLevel(l))
}

func (h slogHandler) Handle(_ context.Context, r slog.Record) error {
	fields := logrus.Fields{}
	r.Attrs(func(a slog.Attr) bool {
		fields[h.group+a.Key] = a.Value.Resolve().Any()
		return true
	})
	h.log.WithFields(fields).Log(slogLevel(r.Level), r.Message)
	return nil
}

func (h slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := logrus.Fields{}
	for _, a := range attrs {
		fields[h.group+a.Key] = a.Value.Resolve().Any()
	}
	return slogHandler{log: h.log.WithFields(fields), group: h.group}
}

func (h slogHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return slogHandler{log: h.log, group: h.group + name + "."}
}
