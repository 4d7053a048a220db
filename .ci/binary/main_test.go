package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestCheckRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := check(text); err == nil {
		t.Error("check of a script = nil, want an error")
	}
	if runtime.GOOS != "linux" {
		return
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := check(shell); err == nil {
		t.Errorf("check of %s = nil, want that it is not static", shell)
	}
}
