package main

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// accessFlags are the flags of run that ask for something of the nodes which their
// owners have to allow.
type accessFlags struct {
	privileged        bool
	volumes, devices  []string
	network, pid, ipc string
}

func (a *accessFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&a.privileged, "privileged", false, "do not confine the containers (nodes must allow it, as all that follows)")
	f.StringArrayVarP(&a.volumes, "volume", "v", nil, "mount `SOURCE:TARGET[:ro]`, a file or directory of the task's node")
	f.StringArrayVar(&a.devices, "device", nil, "let the tasks use `DEVICE[:TARGET[:rwm]]` of their node")
	f.StringVar(&a.network, "network", "", "host: the node's own network")
	f.StringVar(&a.pid, "pid", "", "host: see the node's processes")
	f.StringVar(&a.ipc, "ipc", "", "host: the node's shared memory")
}

// set replaces what the file says by what the flags say.
func (a *accessFlags) set(_ *Env, cmd *cobra.Command, job *api.Job) error {
	if cmd.Flags().Changed("privileged") {
		job.Privileged = a.privileged
	}
	if len(a.volumes) > 0 {
		job.Volumes = nil
	}
	for _, word := range a.volumes {
		v, err := parseVolume(word)
		if err != nil {
			return usageError(cmd, "-v %q: %s", word, err)
		}
		job.Volumes = append(job.Volumes, v)
	}
	if len(a.devices) > 0 {
		job.Devices = nil
	}
	for _, word := range a.devices {
		d, err := parseDevice(word)
		if err != nil {
			return usageError(cmd, "--device %q: %s", word, err)
		}
		job.Devices = append(job.Devices, d)
	}
	if a.network+a.pid+a.ipc != "" {
		job.HostNamespaces = nil
	}
	for _, space := range []struct{ name, value string }{{"network", a.network}, {"pid", a.pid}, {"ipc", a.ipc}} {
		switch space.value {
		case "":
		case "host":
			job.HostNamespaces = append(job.HostNamespaces, space.name)
		default:
			return usageError(cmd, "--%s %q: there is host, and without the flag each task has its own", space.name, space.value)
		}
	}
	return nil
}

// parseVolume reads SOURCE:TARGET[:ro|rw]. A source without a slash is the name of
// a volume, which the API says is not to be had.
func parseVolume(s string) (api.Volume, error) {
	parts := strings.Split(s, ":")
	v := api.Volume{Type: "bind", Source: parts[0]}
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return v, errors.New("write SOURCE:TARGET or SOURCE:TARGET:ro")
	}
	if !strings.Contains(v.Source, "/") && !strings.HasPrefix(v.Source, ".") {
		v.Type = "volume"
	} else if !path.IsAbs(v.Source) {
		return v, errors.New("the source is on the task's node, not here: write it from the root on, as /srv/data")
	} else {
		v.Source = path.Clean(v.Source)
	}
	v.Target = path.Clean(parts[1])
	if len(parts) == 3 {
		if parts[2] != "ro" && parts[2] != "rw" {
			return v, fmt.Errorf("%q is none of ro, rw", parts[2])
		}
		v.ReadOnly = parts[2] == "ro"
	}
	return v, nil
}

// parseDevice reads SOURCE[:TARGET][:PERMISSIONS], as docker does.
func parseDevice(s string) (api.Device, error) {
	parts := strings.Split(s, ":")
	d := api.Device{Source: parts[0], Target: parts[0], Permissions: "rwm"}
	switch {
	case len(parts) > 3 || parts[0] == "":
		return d, errors.New("write DEVICE, DEVICE:TARGET or DEVICE:TARGET:rwm")
	case len(parts) == 3:
		d.Target, d.Permissions = parts[1], parts[2]
	case len(parts) == 2 && path.IsAbs(parts[1]):
		d.Target = parts[1]
	case len(parts) == 2:
		d.Permissions = parts[1]
	}
	return d, nil
}
