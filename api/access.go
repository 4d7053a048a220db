package api

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// What the owner of a node may allow its tasks beyond their confinement.
const (
	AllowDevices        = "devices"         // devices of the node
	AllowEngineSocket   = "engine-socket"   // the container engine's own socket, which is as good as root
	AllowHostMounts     = "host-mounts"     // files and directories of the node
	AllowHostNamespaces = "host-namespaces" // the node's network, processes or shared memory
	AllowNetRaw         = "net-raw"         // the capability NET_RAW, given to every task
	AllowPrivileged     = "privileged"      // containers that are not confined at all
)

// Allowances lists all that can be allowed.
func Allowances() []string {
	return []string{AllowDevices, AllowEngineSocket, AllowHostMounts, AllowHostNamespaces, AllowNetRaw, AllowPrivileged}
}

// Volume is something of its node that a task finds in its file system.
type Volume struct {
	Type     string `json:"type"`   // "bind": a file or directory of the node
	Source   string `json:"source"` // on the node
	Target   string `json:"target"` // in the task
	ReadOnly bool   `json:"read_only"`
}

// Device is a device of its node that a task may use.
type Device struct {
	Source      string `json:"source"`      // on the node
	Target      string `json:"target"`      // in the task
	Permissions string `json:"permissions"` // of "r", "w" and "m" (make)
}

// Access is what the tasks of a job get of their node beyond their confinement.
type Access struct {
	Privileged     bool
	HostNamespaces []string // of "ipc", "network" and "pid"
	Volumes        []Volume
	Devices        []Device
}

// Access is what the tasks of j get of their node beyond their confinement.
func (j Job) Access() Access {
	s := j.Spec()
	return Access{Privileged: s.Privileged, HostNamespaces: s.HostNamespaces, Volumes: s.Volumes, Devices: s.Devices}
}

// Needs lists what the owner of a node must allow for a task to get a, sorted.
// Further sockets of engines than the usual ones may be named.
func (a Access) Needs(sockets ...string) []string {
	var needs []string
	if len(a.Devices) > 0 {
		needs = append(needs, AllowDevices)
	}
	sockets = append(sockets, "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock")
	if slices.ContainsFunc(a.Volumes, func(v Volume) bool { return slices.ContainsFunc(sockets, v.holds) }) {
		needs = append(needs, AllowEngineSocket)
	}
	if len(a.Volumes) > 0 {
		needs = append(needs, AllowHostMounts)
	}
	if len(a.HostNamespaces) > 0 {
		needs = append(needs, AllowHostNamespaces)
	}
	if a.Privileged {
		needs = append(needs, AllowPrivileged)
	}
	return needs
}

// holds says whether file is what v mounts, or below it.
func (v Volume) holds(file string) bool {
	source, file := runDir(v.Source), runDir(path.Clean(file))
	return source == file || strings.HasPrefix(file, strings.TrimSuffix(source, "/")+"/")
}

// runDir writes /var/run, a link on all machines of today, as what it leads to.
func runDir(file string) string {
	if rest, ok := strings.CutPrefix(file, "/var/run"); ok && (rest == "" || rest[0] == '/') {
		return "/run" + rest
	}
	return file
}

// Lacks says in words what of needs is not allowed, and what to do about it, or "".
func Lacks(needs, allowed []string) string {
	missing := slices.DeleteFunc(slices.Clone(needs), func(what string) bool { return slices.Contains(allowed, what) })
	if len(missing) == 0 {
		return ""
	}
	words := strings.Join(missing, ",")
	return fmt.Sprintf("does not allow %s (start it with --allow %s)", words, words)
}

// validateAccess checks what the job wants of its nodes beyond confinement.
func (j Job) validateAccess(bad, later *faults) {
	if j.Driver == "process" {
		for _, f := range []struct {
			name  string
			given bool
		}{{"privileged", j.Privileged}, {"host_namespaces", len(j.HostNamespaces) > 0}, {"volumes", len(j.Volumes) > 0}, {"devices", len(j.Devices) > 0}} {
			if f.given {
				bad.add(f.name, "driver process gives its tasks all that its user has, and no more")
			}
		}
		return
	}
	for i, name := range j.HostNamespaces {
		at := fmt.Sprintf("host_namespaces/%d", i)
		if !slices.Contains([]string{"ipc", "network", "pid"}, name) {
			bad.add(at, "%.40q is none of ipc, network, pid", name)
		} else if slices.Contains(j.HostNamespaces[:i], name) {
			bad.add(at, "%s is named twice", name)
		}
	}
	j.validateVolumes(bad, later)
	if len(j.Devices) > maxMounts {
		bad.add("devices", "at most %d", maxMounts)
	}
	for i, d := range j.Spec().Devices {
		at := fmt.Sprintf("devices/%d", i)
		checkPath(bad, at+"/source", d.Source)
		checkPath(bad, at+"/target", d.Target)
		if rest := strings.Trim(d.Permissions, "rwm"); rest != "" || len(d.Permissions) > 3 {
			bad.add(at+"/permissions", "%.20q is not made of r, w and m", d.Permissions)
		}
	}
}

// maxMounts bounds the volumes of a job, and its devices.
const maxMounts = 64

func (j Job) validateVolumes(bad, later *faults) {
	if len(j.Volumes) > maxMounts {
		bad.add("volumes", "at most %d", maxMounts)
	}
	seen := map[string]bool{}
	for i, v := range j.Spec().Volumes {
		at := fmt.Sprintf("volumes/%d", i)
		switch v.Type {
		case "bind":
			checkPath(bad, at+"/source", v.Source)
		case "volume":
			later.add(at+"/type", "named volumes are not in this version (use bind, with a path of the node)")
		default:
			bad.add(at+"/type", "%.40q is not bind", v.Type)
		}
		checkPath(bad, at+"/target", v.Target)
		if v.Target == "/" || seen[v.Target] {
			bad.add(at+"/target", "%.80s is the root, or taken by another volume", v.Target)
		}
		seen[v.Target] = true
	}
}

// checkPath demands an absolute path without detours.
func checkPath(bad *faults, at, file string) {
	if !path.IsAbs(file) || path.Clean(file) != file || len(file) > 4096 || strings.ContainsRune(file, 0) {
		bad.add(at, "%.80q is not an absolute path (as /srv/data, without .. or a / at its end)", file)
	}
}
