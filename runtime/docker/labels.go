package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// The labels of a container. They are read by other versions of orch, and by
// people with docker ps --filter; their names and forms never change.
const (
	labelCluster     = "orch.cluster"
	labelJob         = "orch.job"
	labelLife        = "orch.life"
	labelSlot        = "orch.slot"
	labelEpoch       = "orch.epoch"
	labelTask        = "orch.task" // "web.3", for filters; the labels above say the same
	labelNode        = "orch.node"
	labelBoot        = "orch.boot"
	labelTemplate    = "orch.template_hash"
	labelLock        = "orch.lock"
	labelResources   = "orch.resources" // JSON
	labelPorts       = "orch.ports"     // JSON
	labelStopTimeout = "orch.stop_timeout"
)

// write is l as a container has it.
func write(l runtime.Labels) (map[string]string, error) {
	resources, err := json.Marshal(l.Resources)
	if err != nil {
		return nil, err
	}
	if l.Ports == nil {
		l.Ports = []api.Port{}
	}
	ports, err := json.Marshal(l.Ports)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		labelCluster: l.Cluster, labelJob: l.Job, labelLife: strconv.FormatInt(l.Life, 10), labelSlot: strconv.Itoa(l.Slot),
		labelEpoch: strconv.FormatUint(l.Epoch, 10), labelTask: l.Task().Slot(), labelNode: string(l.Node), labelBoot: l.Boot,
		labelTemplate: l.TemplateHash, labelLock: l.Lock, labelResources: string(resources), labelPorts: string(ports),
		labelStopTimeout: l.StopTimeout.String(),
	}, nil
}

// read is the inverse of write. It fails where the labels are none that write makes.
func read(m map[string]string) (runtime.Labels, error) {
	l := runtime.Labels{
		Cluster: m[labelCluster], Job: m[labelJob], Node: api.NodeID(m[labelNode]), Boot: m[labelBoot],
		TemplateHash: m[labelTemplate], Lock: m[labelLock],
	}
	var faults []error
	check := func(label string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("label %s: %w", label, err))
		}
	}
	var err error
	l.Life, err = strconv.ParseInt(m[labelLife], 10, 64)
	check(labelLife, err)
	l.Slot, err = strconv.Atoi(m[labelSlot])
	check(labelSlot, err)
	l.Epoch, err = strconv.ParseUint(m[labelEpoch], 10, 64)
	check(labelEpoch, err)
	stop, err := time.ParseDuration(m[labelStopTimeout])
	l.StopTimeout = api.Duration(stop)
	check(labelStopTimeout, err)
	check(labelResources, json.Unmarshal([]byte(m[labelResources]), &l.Resources))
	check(labelPorts, json.Unmarshal([]byte(m[labelPorts]), &l.Ports))
	if len(faults) == 0 {
		check(labelJob, valid(l))
	}
	return l, errors.Join(faults...)
}

// valid says whether l are labels of a task.
func valid(l runtime.Labels) error {
	if !api.ValidJobName(l.Job) {
		return fmt.Errorf("%.80q is not a job name", l.Job)
	}
	if l.Slot < 0 || l.Life < 0 {
		return fmt.Errorf("slot %d of life %d is not a task", l.Slot, l.Life)
	}
	return nil
}

// nameOf is the container's name. It is the same for every start of one attempt, so
// the engine itself lets only one of them be; and another for every other attempt
// on the engine, of whatever node and cluster.
func nameOf(l runtime.Labels) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d", l.Cluster, l.Node, l.Life))
	return fmt.Sprintf("orch-%s-%d-%d-%s", l.Job, l.Slot, l.Epoch, hex.EncodeToString(sum[:5]))
}
