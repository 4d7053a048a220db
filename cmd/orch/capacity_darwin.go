package main

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/exitae337/orchestergo/api"
)

// machineResources is what this machine has.
func machineResources() (api.Resources, error) {
	r := api.Resources{CPUs: api.CPUs(runtime.NumCPU()) * api.Core}
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return r, fmt.Errorf("sysctl hw.memsize: %w", err)
	}
	r.Memory = api.Bytes(n)
	return r, nil
}
