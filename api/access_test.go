package api_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

func bind(source string) api.Access {
	return api.Access{Volumes: []api.Volume{{Type: "bind", Source: source, Target: "/data"}}}
}

func TestAccessNeeds(t *testing.T) {
	const socket = "engine-socket,host-mounts"
	for _, tt := range []struct {
		what    string
		access  api.Access
		sockets []string
		want    string
	}{
		{"nothing", api.Access{}, nil, ""},
		{"a directory", bind("/srv/data"), nil, "host-mounts"},
		{"the socket", bind("/var/run/docker.sock"), nil, socket},
		{"by its other name", bind("/run/docker.sock"), nil, socket},
		{"its directory", bind("/run"), nil, socket},
		{"the link to that", bind("/var/run"), nil, socket},
		{"the root", bind("/"), nil, socket},
		{"what containerd listens on", bind("/run/containerd"), nil, socket},
		{"a neighbour of the socket", bind("/run/docker.socks"), nil, "host-mounts"},
		{"a directory named alike", bind("/var/runner"), nil, "host-mounts"},
		{"below the socket", bind("/run/docker.sock/x"), nil, "host-mounts"},
		{"an unusual socket", bind("/opt/engine"), []string{"/opt/engine/x.sock"}, socket},
		{"not that one", bind("/opt/engines"), []string{"/opt/engine/x.sock"}, "host-mounts"},
		{"all", api.Access{
			Privileged: true, HostNamespaces: []string{"pid"}, Devices: []api.Device{{Source: "/dev/fuse"}}, Volumes: bind("/run").Volumes,
		}, nil, "devices,engine-socket,host-mounts,host-namespaces,privileged"},
	} {
		if got := strings.Join(tt.access.Needs(tt.sockets...), ","); got != tt.want {
			t.Errorf("%s: needs %q, want %q", tt.what, got, tt.want)
		}
	}
}

func TestLacks(t *testing.T) {
	for _, tt := range []struct{ needs, allowed, want string }{
		{"", "", ""},
		{"privileged", "host-mounts,privileged", ""},
		{"privileged", "host-mounts", "does not allow privileged (start it with --allow privileged)"},
		{"devices,host-mounts,privileged", "host-mounts", "does not allow devices,privileged (start it with --allow devices,privileged)"},
	} {
		if got := api.Lacks(strings.Split(tt.needs, ","), strings.Split(tt.allowed, ",")); got != tt.want {
			t.Errorf("%q of %q: got %q, want %q", tt.needs, tt.allowed, got, tt.want)
		}
	}
}

func TestAccessOfAJobIsChecked(t *testing.T) {
	volume := func(v ...api.Volume) func(*api.Job) { return func(j *api.Job) { j.Volumes = v } }
	device := func(d ...api.Device) func(*api.Job) { return func(j *api.Job) { j.Devices = d } }
	for _, tt := range []struct {
		what   string
		change func(*api.Job)
		code   api.Code
		fields string
	}{
		{"all of it", func(j *api.Job) {
			j.Privileged, j.HostNamespaces = true, []string{"pid", "ipc", "network"}
			j.Volumes = []api.Volume{{Source: "/srv", Target: "/srv"}, {Type: "bind", Source: "/", Target: "/host", ReadOnly: true}}
			j.Devices = []api.Device{{Source: "/dev/fuse"}, {Source: "/dev/sda", Target: "/dev/disk", Permissions: "r"}}
			j.Ports = []api.Port{{Target: 80, Published: 80}}
		}, "", ""},
		{"a process", func(j *api.Job) {
			*j = procJob()
			j.Privileged, j.HostNamespaces = true, []string{"pid"}
			volume(api.Volume{Source: "/srv", Target: "/srv"})(j)
			device(api.Device{Source: "/dev/fuse"})(j)
		}, api.Invalid, "#/privileged #/host_namespaces #/volumes #/devices"},
		{"a named volume", volume(api.Volume{Type: "volume", Source: "data", Target: "/data"}), api.NotSupported, "#/volumes/0/type"},
		{"an odd volume", volume(api.Volume{Type: "tmpfs", Target: "/data"}), api.Invalid, "#/volumes/0/type"},
		{"no paths", volume(api.Volume{}), api.Invalid, "#/volumes/0/source #/volumes/0/target"},
		{"paths that are not whole", volume(api.Volume{Source: "srv", Target: "data"}), api.Invalid, "#/volumes/0/source #/volumes/0/target"},
		{"detours", volume(api.Volume{Source: "/srv/../run", Target: "/data/"}), api.Invalid, "#/volumes/0/source #/volumes/0/target"},
		{"a NUL", volume(api.Volume{Source: "/srv\x00", Target: "/data"}), api.Invalid, "#/volumes/0/source"},
		{"over the root", volume(api.Volume{Source: "/srv", Target: "/"}), api.Invalid, "#/volumes/0/target"},
		{"one over the other", volume(api.Volume{Source: "/a", Target: "/t"}, api.Volume{Source: "/b", Target: "/t"}), api.Invalid, "#/volumes/1/target"},
		{"many volumes", func(j *api.Job) { j.Volumes = make([]api.Volume, 65) }, api.Invalid, "#/volumes"},
		{"many devices", func(j *api.Job) { j.Devices = make([]api.Device, 65) }, api.Invalid, "#/devices"},
		{"an odd device", device(api.Device{Source: "fuse", Target: "..", Permissions: "x"}), api.Invalid, "#/devices/0/source #/devices/0/target #/devices/0/permissions"},
		{"odd namespaces", func(j *api.Job) { j.HostNamespaces = []string{"net", "pid", "pid"} }, api.Invalid, "#/host_namespaces/0 #/host_namespaces/2"},
		{"a port that is another", func(j *api.Job) {
			j.HostNamespaces, j.Ports = []string{"network"}, []api.Port{{Target: 80, Published: 8080}}
		}, api.Invalid, "#/ports/0/target"},
	} {
		job := webJob()
		tt.change(&job)
		err := job.Validate()
		var fields []string
		if e := (*api.Error)(nil); errors.As(err, &e) {
			for _, f := range e.Fields {
				fields = append(fields, f.Pointer)
			}
		}
		if len(fields) > 0 && strings.HasPrefix(tt.what, "many") {
			fields = fields[:1] // each of them is wrong in itself, too
		}
		if got := strings.Join(fields, " "); api.CodeOf(err) != tt.code || got != tt.fields {
			t.Errorf("%s: got %v at %q, want %q at %q", tt.what, err, got, tt.code, tt.fields)
		}
	}
}

func TestAccessIsWrittenInOneWay(t *testing.T) {
	short, long := webJob(), webJob()
	short.HostNamespaces, long.HostNamespaces = []string{"pid", "ipc"}, []string{"ipc", "pid"}
	short.Volumes, long.Volumes = bind("/srv").Volumes, bind("/srv").Volumes
	short.Volumes[0].Type = ""
	short.Devices, long.Devices = []api.Device{{Source: "/dev/fuse"}}, []api.Device{{"/dev/fuse", "/dev/fuse", "rwm"}}
	if got, want := short.TemplateHash(0), long.TemplateHash(0); got != want {
		t.Error("tasks would restart for words that mean the same")
	}
	if short.HostNamespaces[0] != "pid" || short.Volumes[0].Type != "" || short.Devices[0].Target != "" {
		t.Errorf("the job was changed: %+v", short)
	}
}
