package docker

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/exitae337/orchestergo/runtime"
)

// maxProcesses bounds the processes and threads of one container. A thread pool
// of a big server stays far below.
const maxProcesses = 1024

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// plan is what the engine is asked to create.
type plan struct {
	name   string
	labels runtime.Labels
	image  string
	pull   string
	config *container.Config
	host   *container.HostConfig
}

// planOf makes the plan of spec. The command replaces that of the image, and not
// its entry point, as with docker run.
func planOf(spec runtime.Spec, netRaw bool) (plan, error) {
	if err := valid(spec.Labels); err != nil {
		return plan{}, err
	}
	if spec.Image == "" {
		return plan{}, errors.New("driver docker needs an image")
	}
	env, err := environment(spec)
	if err != nil {
		return plan{}, err
	}
	labels, err := write(spec.Labels)
	if err != nil {
		return plan{}, err
	}
	p := plan{name: nameOf(spec.Labels), labels: spec.Labels, image: spec.Image, pull: spec.Pull}
	stop := int((time.Duration(spec.Labels.StopTimeout) + time.Second - 1) / time.Second)
	p.config = &container.Config{
		Image: spec.Image, Cmd: spec.Command, Env: env, Labels: labels, StopTimeout: &stop,
	}
	pids := int64(maxProcesses)
	p.host = &container.HostConfig{
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "3"}},
		Resources:     container.Resources{PidsLimit: &pids},
	}
	p.confine(spec.Access, netRaw)
	if memory := int64(spec.Limits.Memory); memory > 0 {
		p.host.Memory, p.host.MemorySwap = memory, memory // equal: no swap beside it
	}
	p.host.NanoCPUs = int64(spec.Limits.CPUs) * 1e6
	return p, p.publish(spec.Labels)
}

// publish binds the task's ports on every address of the node.
func (p *plan) publish(l runtime.Labels) error {
	if p.host.NetworkMode.IsHost() {
		return nil // they are the node's own there
	}
	p.config.ExposedPorts, p.host.PortBindings = nat.PortSet{}, nat.PortMap{}
	for _, want := range l.Ports {
		protocol := want.Protocol
		if protocol == "" {
			protocol = "tcp"
		}
		port, err := nat.NewPort(protocol, strconv.Itoa(want.Target))
		if err != nil || want.Target < 1 || want.Published < 1 || want.Published > 65535 {
			return fmt.Errorf("port %d:%d/%.10s cannot be published", want.Published, want.Target, protocol)
		}
		p.config.ExposedPorts[port] = struct{}{}
		p.host.PortBindings[port] = append(p.host.PortBindings[port], nat.PortBinding{HostPort: strconv.Itoa(want.Published)})
	}
	return nil
}

// fit brings the limit of processor time into what the engine takes: it refuses
// less than a hundredth of a core, and more cores than there are, where a limit has
// no effect anyway.
func (p *plan) fit(cpus int) {
	switch most := int64(cpus) * 1e9; {
	case p.host.NanoCPUs <= 0:
		p.host.NanoCPUs = 0
	case p.host.NanoCPUs < 1e7:
		p.host.NanoCPUs = 1e7
	case most > 0 && p.host.NanoCPUs > most:
		p.host.NanoCPUs = most
	}
}

// environment is the task's, sorted by name, with those variables of orch that it
// lacks.
func environment(spec runtime.Spec) ([]string, error) {
	l := spec.Labels
	vars := map[string]string{
		"ORCH_JOB": l.Job, "ORCH_TASK": l.Task().Slot(), "ORCH_INDEX": strconv.Itoa(l.Slot),
		"ORCH_LIFE": strconv.FormatInt(l.Life, 10), "ORCH_EPOCH": strconv.FormatUint(l.Epoch, 10), "ORCH_NODE": string(l.Node),
	}
	maps.Copy(vars, spec.Env)
	env := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !envName.MatchString(name) {
			return nil, fmt.Errorf("%.80q is not the name of an environment variable", name)
		}
		if strings.ContainsRune(vars[name], 0) {
			return nil, fmt.Errorf("the value of %s has a NUL byte", name)
		}
		env = append(env, name+"="+vars[name])
	}
	return env, nil
}
