// Command binary fails when a program for Linux is not what is promised of orch: it
// needs no loader and no library, and is not larger than 40 MB.
package main

import (
	"debug/elf"
	"fmt"
	"os"
)

const maxSize = 40_000_000 // bytes

func main() {
	failed := len(os.Args) < 2
	for _, path := range os.Args[1:] {
		size, err := check(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "binary:", err)
			failed = true
			continue
		}
		fmt.Printf("binary: %s is static, %.1f MB\n", path, float64(size)/1e6)
	}
	if failed {
		os.Exit(1)
	}
}

// check returns the size of a program that is as promised.
func check(path string) (int64, error) {
	f, err := elf.Open(path)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return 0, fmt.Errorf("%s is not static: it has a segment %s", path, p.Type)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if info.Size() > maxSize {
		return 0, fmt.Errorf("%s has %d bytes, the limit is %d", path, info.Size(), maxSize)
	}
	return info.Size(), nil
}
