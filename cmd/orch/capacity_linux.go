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
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return r, fmt.Errorf("sysinfo: %w", err)
	}
	r.Memory = api.Bytes(info.Totalram * uint64(info.Unit))
	return r, nil
}
