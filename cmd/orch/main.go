// Command orch is the one program of orch: the agent that makes a machine a node
// of a cluster, and the client that asks a node for something.
//
// One subcommand a file. A subcommand turns its flags into calls of [api.Service]
// and the answers into text; what it decides in between (has the job come to
// rest, what fits a filter, in which order lines of several logs go) are functions
// of values, tested without a cluster. Nothing reaches for the world but through
// [Env]. The answer alone goes to stdout, everything said about it to stderr, so
// that a script can use the one and a person read the other.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() { os.Exit(run()) }

// run is main without os.Exit, so that what is deferred happens.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := &Env{
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Getenv:  os.Getenv,
		Environ: os.Environ,
		IsTerminal: func(stream any) bool {
			f, ok := stream.(*os.File)
			return ok && term.IsTerminal(int(f.Fd()))
		},
		Now: time.Now,
	}
	return execute(ctx, env, os.Args[1:])
}
