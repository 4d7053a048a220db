// Command tiny does what a test of containers wants a container to do. Its
// arguments are steps, done one after the other:
//
//	out TEXT     write a line to standard output
//	err TEXT     write a line to standard error
//	long N       write a line of N bytes to standard output
//	env NAME     write the value of a variable to standard output
//	ignore       ignore SIGTERM from now on
//	sleep        wait until it is ended
//	exit N       end with that code
//	eat          take memory until there is none left, or it has 1 GiB
//	listen PORT  answer each TCP connection with a line, until it is ended
//
// SIGTERM ends it with code 143, as it would end a process that is not the first of
// its container. It is built with CGO_ENABLED=0, for an image with nothing else in it.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		<-ended
		os.Exit(143)
	}()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tiny:", err)
		os.Exit(2)
	}
}

// run does the steps.
func run(steps []string) error {
	for len(steps) > 0 {
		step := steps[0]
		steps = steps[1:]
		word := ""
		switch step {
		case "ignore", "sleep", "eat":
		default:
			if len(steps) == 0 {
				return fmt.Errorf("%q is no step, or lacks its word", step)
			}
			word, steps = steps[0], steps[1:]
		}
		if err := do(step, word); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return nil
}

func do(step, word string) error {
	switch step {
	case "out":
		fmt.Println(word)
	case "err":
		fmt.Fprintln(os.Stderr, word)
	case "env":
		fmt.Println(os.Getenv(word))
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
	case "sleep":
		select {}
	case "eat":
		eat()
	case "listen":
		return listen(word)
	case "long", "exit":
		n, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		if step == "exit" {
			os.Exit(n)
		}
		fmt.Println(strings.Repeat("x", n))
	default:
		return fmt.Errorf("%q is no step", step)
	}
	return nil
}

// eat takes memory and writes to each page of it.
func eat() {
	<-time.After(500 * time.Millisecond) // an engine begins to watch for want of memory just after the start
	var kept [][]byte
	for {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += os.Getpagesize() {
			block[i] = 1
		}
		kept = append(kept, block)
		if len(kept) > 1<<10 { // a gibibyte: there is no limit to meet
			os.Exit(0)
		}
	}
}

// listen serves until the process ends.
func listen(port string) error {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(conn, "hello")
		conn.Close()
	}
}
