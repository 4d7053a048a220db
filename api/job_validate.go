package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of a job.
const (
	MaxReplicas = 100_000
	MaxJobSize  = 256 << 10 // bytes of its specification as JSON
)

// faults collects what is wrong with a request.
type faults []FieldError

func (f *faults) add(pointer, format string, args ...any) {
	*f = append(*f, FieldError{Pointer: "#/" + pointer, Detail: fmt.Sprintf(format, args...)})
}

// Validate returns every fault of the specification at once, as an *Error of
// code Invalid or, when all that is wrong is asking for what this version does
// not have, NotSupported. A nil result means that the job can be stored.
func (j Job) Validate() error {
	var bad, later faults
	if !ValidJobName(j.Name) {
		bad.add("name", "%.80q is not a job name: %s", j.Name, nameRules)
	}
	switch j.Type {
	case ServiceJob, BatchJob:
	case GlobalJob:
		later.add("type", "global jobs are not in this version (use service or batch)")
	default:
		bad.add("type", "%.40q is none of service, batch", string(j.Type))
	}
	j.validateProgram(&bad)
	j.validateAmounts(&bad)
	j.validateAccess(&bad, &later)
	j.validatePolicies(&bad)
	if b, err := json.Marshal(j.Spec()); err == nil && len(b) > MaxJobSize {
		return Errorf(TooLarge, "the job is %d bytes; the limit is %d", len(b), MaxJobSize)
	}
	switch {
	case len(bad) > 0:
		return &Error{Code: Invalid, Detail: "the job is not valid", Fields: append(bad, later...)}
	case len(later) > 0:
		return &Error{Code: NotSupported, Detail: "the job asks for what this version does not have", Fields: later}
	}
	return nil
}

// Workable says what of a specification this release of orch cannot work with, as far
// as every node relies on it: its kind, its amounts and its policies. A specification
// that was stored once is held to this, and not to all of Validate: what is stored
// must not become void because a later release is stricter about it.
func (j Job) Workable() error {
	var bad faults
	if j.Type != ServiceJob && j.Type != BatchJob {
		bad.add("type", "%.40q is none of service, batch", string(j.Type))
	}
	j.validateAmounts(&bad)
	j.validatePolicies(&bad)
	if len(bad) > 0 {
		return &Error{Code: Invalid, Detail: "the job is not one that this release of orch can work with", Fields: bad}
	}
	return nil
}

// validateProgram checks what is to be run.
func (j Job) validateProgram(bad *faults) {
	switch j.Driver {
	case "docker":
		if j.Image == "" {
			bad.add("image", "an image is needed (or driver \"process\" and a command)")
		} else if len(j.Image) > 512 || strings.ContainsFunc(j.Image, func(r rune) bool { return r <= ' ' || r == 0x7f }) || j.Image[0] == '-' {
			bad.add("image", "%.80q is not an image reference", j.Image)
		}
	case "process":
		if len(j.Command) == 0 || j.Command[0] == "" {
			bad.add("command", "driver process needs a command")
		}
		if j.Image != "" {
			bad.add("image", "driver process runs no image")
		}
	default:
		bad.add("driver", "%.40q is none of docker, process", j.Driver)
	}
	for i, word := range j.Command {
		if len(word) > maxWord || strings.ContainsRune(word, 0) {
			bad.add(fmt.Sprintf("command/%d", i), "a word must be under %d bytes and without NUL", maxWord)
		}
	}
	for _, k := range sortedKeys(j.Env) {
		if !envName.MatchString(k) || len(k) > maxLabel {
			bad.add("env/"+PointerToken(k), "%.80q is not the name of an environment variable", k)
		} else if strings.HasPrefix(k, "ORCH_") {
			bad.add("env/"+PointerToken(k), "names that begin with ORCH_ are set by orch")
		} else if v := j.Env[k]; len(v) > maxWord || strings.ContainsRune(v, 0) {
			bad.add("env/"+PointerToken(k), "a value must be under %d bytes and without NUL", maxWord)
		}
	}
	for _, k := range sortedKeys(j.Labels) {
		if msg := checkLabel(k, j.Labels[k]); msg != "" {
			bad.add("labels/"+PointerToken(k), "%s", msg)
		}
	}
}

// validateAmounts checks counts, resources and ports.
func (j Job) validateAmounts(bad *faults) {
	if j.Replicas < 0 || j.Replicas > MaxReplicas {
		bad.add("replicas", "must be from 0 to %d", MaxReplicas)
	}
	if j.Resources.CPUs < 0 || j.Resources.CPUs > 1e9 {
		bad.add("resources/cpus", "must be from 0 to 1000000")
	}
	if j.Resources.Memory < 0 || j.Resources.Memory > 1<<50 {
		bad.add("resources/memory", "must be from 0 to 1PiB")
	}
	if j.Limits.CPUs < 0 || j.Limits.CPUs > 1e9 || (j.Limits.CPUs > 0 && j.Limits.CPUs < j.Resources.CPUs) {
		bad.add("limits/cpus", "must be 0 (none) or from resources.cpus to 1000000")
	}
	if j.Limits.Memory < 0 || j.Limits.Memory > 1<<50 || (j.Limits.Memory > 0 && j.Limits.Memory < j.Resources.Memory) {
		bad.add("limits/memory", "must be 0 (none) or from resources.memory to 1PiB")
	}
	if len(j.Ports) > 64 {
		bad.add("ports", "at most 64")
	}
	seen := map[Port]bool{}
	for i, p := range j.Spec().Ports {
		at := fmt.Sprintf("ports/%d", i)
		if p.Published < 1 || p.Published > 65535 {
			bad.add(at+"/published", "must be from 1 to 65535")
		}
		if p.Target < 0 || p.Target > 65535 || (p.Target == 0 && j.Driver == "docker") {
			bad.add(at+"/target", "must be from 1 to 65535")
		} else if p.Target != p.Published && slices.Contains(j.HostNamespaces, "network") {
			bad.add(at+"/target", "must be as published: in the node's own network no port is another")
		}
		if p.Protocol != "tcp" && p.Protocol != "udp" {
			bad.add(at+"/protocol", "%.20q is none of tcp, udp", p.Protocol)
		}
		if p.Mode != "host" {
			bad.add(at+"/mode", "%.20q is not host", p.Mode)
		}
		host := Port{Published: p.Published, Protocol: p.Protocol}
		if seen[host] {
			bad.add(at+"/published", "%d/%s is published twice", p.Published, p.Protocol)
		}
		seen[host] = true
	}
}

// validatePolicies checks times and policies.
func (j Job) validatePolicies(bad *faults) {
	if !slices.Contains([]string{"always", "on-failure", "no"}, j.Restart.Policy) {
		bad.add("restart/policy", "%.40q is none of always, on-failure, no", j.Restart.Policy)
	}
	if j.Restart.Attempts < 0 || j.Restart.Attempts > 1000 {
		bad.add("restart/attempts", "must be from 0 to 1000")
	}
	day := 24 * time.Hour
	for _, d := range []struct {
		name     string
		value    Duration
		min, max time.Duration
	}{
		{"stop_timeout", j.StopTimeout, 0, time.Hour},
		{"start_timeout", j.StartTimeout, time.Second, day},
		{"failover_after", j.FailoverAfter, 0, 7 * day},
	} {
		if time.Duration(d.value) < d.min || time.Duration(d.value) > d.max {
			bad.add(d.name, "must be from %s to %s", Duration(d.min), Duration(d.max))
		}
	}
	if j.MaxParallel < 1 || j.MaxParallel > MaxReplicas {
		bad.add("max_parallel", "must be from 1 to %d", MaxReplicas)
	}
	if !slices.Contains([]string{"replace", "freeze"}, j.OnPartition) {
		bad.add("on_partition", "%.40q is none of replace, freeze", j.OnPartition)
	}
	if !slices.Contains([]string{"missing", "always", "never"}, j.Pull) {
		bad.add("pull", "%.40q is none of missing, always, never", j.Pull)
	}
}

// TemplateHash is a digest of all that a task of j is made of, so of everything
// that must restart a task when it changes, and of restartSeq, which is raised to
// ask for just that. Replicas, labels and policies are left out: changing them
// restarts nothing.
func (j Job) TemplateHash(restartSeq uint64) string {
	s := j.Spec()
	var access *Access // left out where nothing is asked for: those hash as before there was such a thing
	if a := s.Access(); len(a.Needs()) > 0 {
		access = &a
	}
	b, _ := json.Marshal(struct { // plain values: cannot fail; maps come out sorted
		Type        JobType
		Driver      string
		Image       string
		Command     []string
		Env         map[string]string
		Resources   Resources
		Limits      Resources
		Ports       []Port
		StopTimeout Duration
		Pull        string
		RestartSeq  uint64
		Access      *Access `json:",omitempty"`
	}{s.Type, s.Driver, s.Image, s.Command, s.Env, s.Resources, s.Limits, s.Ports, s.StopTimeout, s.Pull, restartSeq, access})
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
