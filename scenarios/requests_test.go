package scenarios_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
	"github.com/exitae337/orchestergo/scenarios/contract"
)

// TestRequests sends one node what it should never be sent, and looks at every
// answer with the node's own OpenAPI document in hand.
func TestRequests(t *testing.T) {
	ctx, lab := startLab(t, 1, scenarios.LabConfig{})
	n := lab.Nodes()[0]
	a := &asker{node: n}
	res, body, err := a.ask(wire("GET", "/openapi.json", ""), 10*time.Second)
	must(t, err)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the document: %d %s", res.StatusCode, body)
	}
	a.doc, err = contract.Read(body)
	must(t, err)
	pid := n.PID()
	t.Run("bad", func(t *testing.T) { badRequests(ctx, t, a) })
	t.Run("random", func(t *testing.T) { randomRequests(ctx, t, a) })
	if _, err := n.Service().Version(ctx); err != nil || n.PID() != pid || !n.Running() {
		t.Errorf("afterwards the node does not live: %v", err)
	}
}

// An asker sends requests byte by byte as it is told, over one connection while that
// lasts. It is for one goroutine.
type asker struct {
	node *scenarios.Node
	doc  *contract.Document
	conn net.Conn
	in   *bufio.Reader
}

// A message is a request as it is sent.
type message struct {
	method, target string
	text           []byte
	stream         bool // the answer may go on for ever
	broken         bool // it may not be HTTP, and then be cut off
	last           bool // what follows on the connection may be taken for a part of it
}

// wire is the text of a request, with lines of a header.
func wire(method, target, body string, header ...string) message {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	has := func(name string) bool {
		for _, h := range header {
			if strings.HasPrefix(h, name+":") {
				return true
			}
		}
		return false
	}
	if !has("Host") {
		b.WriteString("Host: localhost\r\n")
	}
	if body != "" && !has("Content-Type") {
		b.WriteString("Content-Type: application/json\r\n")
	}
	if (body != "" || method != "GET" && method != "HEAD") && !has("Content-Length") && !has("Transfer-Encoding") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return message{method: method, target: target, text: b.Bytes()}
}

// ask sends m and reads the answer. Of a stream it reads only the beginning.
func (a *asker) ask(m message, within time.Duration) (*http.Response, []byte, error) {
	if a.conn == nil {
		conn, err := net.Dial("tcp", a.node.APIAddr())
		if err != nil {
			return nil, nil, err
		}
		a.conn, a.in = conn, bufio.NewReader(conn)
	}
	_ = a.conn.SetDeadline(time.Now().Add(within)) // it fails at the next use
	_, sendErr := a.conn.Write(m.text)             // a node that refuses early may stop reading
	res, err := http.ReadResponse(a.in, &http.Request{Method: m.method})
	if err != nil {
		a.close()
		return nil, nil, errors.Join(err, sendErr)
	}
	defer res.Body.Close()
	if m.stream && res.StatusCode == http.StatusOK {
		a.close()
		return res, nil, nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.Close || m.last || sendErr != nil {
		a.close()
	}
	return res, body, err
}

func (a *asker) close() {
	if a.conn != nil {
		_ = a.conn.Close() // nothing more is wanted of it
		a.conn = nil
	}
}

// check says what is wrong with the answer to m. What net/http refuses by itself
// never was a request.
func (a *asker) check(m message, res *http.Response, body []byte) error {
	if res.Header.Get("Orch-Node") == "" {
		if res.StatusCode/100 != 4 && res.StatusCode != http.StatusNotImplemented && res.StatusCode != http.StatusHTTPVersionNotSupported {
			return fmt.Errorf("the answer %d is not of the API: %.200s", res.StatusCode, body)
		}
		return nil
	}
	var op *contract.Operation
	if u, err := url.ParseRequestURI(m.target); err == nil { // as the node reads it
		op = a.doc.Find(m.method, u.EscapedPath())
	}
	if op == nil && m.method == http.MethodHead || m.stream && res.StatusCode == http.StatusOK {
		return nil // without a body
	}
	return a.doc.Check(op, m.method, res, body)
}

// resident is how many bytes of memory a process has.
func resident(ctx context.Context, t *testing.T, pid int) int64 {
	t.Helper()
	out, err := exec.CommandContext(ctx, "ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	must(t, err)
	kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	must(t, err)
	return kib << 10
}
