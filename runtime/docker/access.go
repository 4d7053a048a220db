package docker

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/exitae337/orchestergo/api"
)

// permit fails for what the owner of this node does not allow. Bids have looked at
// the paths already; here they count as what they lead to on this machine, since a
// link may lead to the engine's socket. Whoever can change the node's files between
// this look and the start has no need of a mount.
func (d *Driver) permit(a api.Access) error {
	a.Volumes = slices.Clone(a.Volumes)
	for i := range a.Volumes {
		a.Volumes[i].Source = followed(a.Volumes[i].Source)
	}
	var sockets []string
	if path, ok := strings.CutPrefix(d.engine.host, "unix://"); ok {
		sockets = []string{path, followed(path)}
	}
	if lacks := api.Lacks(a.Needs(sockets...), d.cfg.Allow); lacks != "" {
		return errors.New("this node " + lacks)
	}
	return nil
}

// followed is where the links of path lead, or path if that cannot be told here.
func followed(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// confine gives the container what a says of its node, and nothing more.
func (p *plan) confine(a api.Access, netRaw bool) {
	if a.Privileged {
		p.host.Privileged = true // as docker means it: all capabilities and devices, and more by setuid
	} else {
		p.host.SecurityOpt = []string{"no-new-privileges"}
	}
	if !a.Privileged && !netRaw {
		p.host.CapDrop = []string{"NET_RAW"}
	}
	for _, v := range a.Volumes { // unlike with -v of docker, nothing is made where there is no such file
		p.host.Mounts = append(p.host.Mounts, mount.Mount{Type: mount.TypeBind, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly})
	}
	for _, dev := range a.Devices {
		p.host.Devices = append(p.host.Devices, container.DeviceMapping{
			PathOnHost: dev.Source, PathInContainer: dev.Target, CgroupPermissions: dev.Permissions,
		})
	}
	for _, name := range a.HostNamespaces {
		switch name {
		case "ipc":
			p.host.IpcMode = "host"
		case "network":
			p.host.NetworkMode = "host"
		case "pid":
			p.host.PidMode = "host"
		}
	}
}
