package docker_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime/docker"
)

func volume(source string) api.Access {
	return api.Access{Volumes: []api.Volume{{Type: "bind", Source: source, Target: "/data"}}}
}

func TestAccessIsForTheNodeToAllow(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(strings.TrimPrefix(r.cli.DaemonHost(), "unix://"), link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what   string
		allow  []string
		access api.Access
		want   string // the end of the error
	}{
		{"privileged", nil, api.Access{Privileged: true}, "this node does not allow privileged (start it with --allow privileged)"},
		{"a namespace", []string{"privileged"}, api.Access{HostNamespaces: []string{"network"}}, "does not allow host-namespaces (start it with --allow host-namespaces)"},
		{"a device", nil, api.Access{Devices: []api.Device{{Source: "/dev/null", Target: "/dev/null", Permissions: "r"}}}, "--allow devices)"},
		{"a mount", []string{"engine-socket"}, volume(dir), "--allow host-mounts)"},
		{"the socket", []string{"host-mounts"}, volume(strings.TrimPrefix(r.cli.DaemonHost(), "unix://")), "--allow engine-socket)"},
		{"all files", []string{"host-mounts"}, volume("/"), "--allow engine-socket)"},
		{"a link to the socket", []string{"host-mounts"}, volume(link), "--allow engine-socket)"},
		{"what is not there", []string{"host-mounts"}, volume(dir + "/nope"), "bind source path does not exist: " + dir + "/nope"},
	} {
		d := newDriver(t, docker.Config{Cluster: r.cluster, Node: node, Allow: tt.allow})
		spec := r.spec("web", "sleep")
		spec.Access = tt.access
		if _, err := d.Start(t.Context(), spec, nil); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.what, err, tt.want)
		}
	}
	r.nothingLeft(t)
}

func TestAccessThatIsAllowed(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	d := newDriver(t, docker.Config{Cluster: r.cluster, Node: node, Allow: api.Allowances()})
	host := func(job string, access api.Access) *container.HostConfig {
		t.Helper()
		spec := r.spec(job, "sleep")
		spec.Access = access
		spec.Labels.Ports = []api.Port{{Target: 1, Published: 1, Protocol: "tcp", Mode: "host"}}
		if !slices.Contains(access.HostNamespaces, "network") {
			spec.Labels.Ports = nil
		}
		c, err := d.Start(t.Context(), spec, nil)
		if err != nil {
			t.Fatalf("%s: Start: %v", job, err)
		}
		in, err := r.cli.ContainerInspect(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range in.Mounts {
			if m.Source != dir || m.Destination != "/data" || m.RW {
				t.Errorf("%s: mounted is %+v", job, m)
			}
		}
		if h := in.HostConfig; h.PidsLimit == nil || *h.PidsLimit != 1024 || h.Privileged || len(in.Mounts) != len(access.Volumes) {
			t.Errorf("%s: %+v, mounts %v, want what was asked for and a limit of processes", job, h, in.Mounts)
		}
		return in.HostConfig
	}
	mounted := volume(dir)
	mounted.Volumes[0].ReadOnly = true
	mounted.Devices = []api.Device{{Source: "/dev/null", Target: "/dev/nothing", Permissions: "r"}}
	h := host("mounted", mounted)
	if !slices.Contains(h.SecurityOpt, "no-new-privileges") {
		t.Errorf("mounted: it may gain privileges: %v", h.SecurityOpt)
	}
	if want := []container.DeviceMapping{{PathOnHost: "/dev/null", PathInContainer: "/dev/nothing", CgroupPermissions: "r"}}; !reflect.DeepEqual(h.Devices, want) {
		t.Errorf("devices are %+v, want %+v", h.Devices, want)
	}
	h = host("spaces", api.Access{HostNamespaces: []string{"ipc", "network", "pid"}})
	if !h.NetworkMode.IsHost() || !h.PidMode.IsHost() || !h.IpcMode.IsHost() || len(h.PortBindings) > 0 {
		t.Errorf("spaces: network %s, pid %s, ipc %s, ports %v, want the host's and none", h.NetworkMode, h.PidMode, h.IpcMode, h.PortBindings)
	}
}

// TestPrivileged looks at what the engine is asked for: one that runs in a container
// itself may be unable to do it.
func TestPrivileged(t *testing.T) {
	f := newFake(t)
	var asked struct{ HostConfig container.HostConfig }
	f.mux.HandleFunc("POST /containers/create", func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusBadRequest)
	})
	d := newDriver(t, docker.Config{Host: f.host, Cluster: "c", Node: node, Allow: []string{"privileged"}})
	spec := f.spec()
	spec.Access.Privileged = true
	if _, err := d.Start(t.Context(), spec, nil); err == nil {
		t.Error("Start succeeded, and the engine refused")
	}
	if h := asked.HostConfig; !h.Privileged || len(h.SecurityOpt)+len(h.CapDrop) > 0 || h.PidsLimit == nil || *h.PidsLimit != 1024 {
		t.Errorf("asked for %+v, want privileged, and a limit of processes", h)
	}
}
