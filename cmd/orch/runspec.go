package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// specFlags are the flags of run that say what the job is.
type specFlags struct {
	file          string
	name          string
	replicas      int
	jobType       string
	driver        string
	cpus          string
	memory        string
	reserveCPU    string
	reserveMemory string
	env           []string
	envFiles      []string
	publish       []string
	labels        []string
	restart       string
	stopTimeout   seconds
	startTimeout  seconds
	failoverAfter seconds
	onPartition   string
	maxParallel   int
	pull          string
	pack          bool
	access        accessFlags
}

func (s *specFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&s.file, "file", "f", "", "read the job from `JOB.json`, or - for stdin; other flags override it")
	f.StringVar(&s.name, "name", "", "`NAME` of the job (default: from the image or command, and 4 random letters)")
	f.StringVar(&s.jobType, "type", "service", "service (kept running) or batch (run to the end once)")
	f.StringVar(&s.driver, "driver", "docker", "docker, or process: then all words are the command")
	s.registerChangeable(cmd)
}

// registerChangeable adds the flags for what of a job that is there can be changed.
func (s *specFlags) registerChangeable(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVarP(&s.replicas, "replicas", "n", 1, "how many tasks")
	f.StringVar(&s.cpus, "cpus", "", "`CORES` that each task reserves and may use, as 0.5")
	f.StringVarP(&s.memory, "memory", "m", "", "`MEMORY` that each task reserves and may use, as 256m")
	f.StringVar(&s.reserveCPU, "reserve-cpu", "", "reserve only so many `CORES`; --cpus stays the limit")
	f.StringVar(&s.reserveMemory, "reserve-memory", "", "reserve only so much `MEMORY`; -m stays the limit")
	f.StringArrayVarP(&s.env, "env", "e", nil, "set `K=V` in the tasks; K alone takes its value from here")
	f.StringArrayVar(&s.envFiles, "env-file", nil, "read lines K=V from `FILE`")
	f.StringArrayVarP(&s.publish, "publish", "p", nil, "publish `HOST:TARGET[/udp]` on the task's node; PORT alone for driver process")
	f.StringArrayVarP(&s.labels, "label", "l", nil, "label `K=V` of the job")
	f.StringVar(&s.restart, "restart", "always", "always, on-failure[:N] or no: what a task's node does when it ends")
	f.Var(&s.stopTimeout, "stop-timeout", "from asking a task to end until it is killed (default 10s)")
	f.Var(&s.startTimeout, "start-timeout", "not running after that is a failure (default 5m)")
	f.Var(&s.failoverAfter, "failover-after", "how long a silent node is waited for before its tasks move (default 0s)")
	f.StringVar(&s.onPartition, "on-partition", "replace", "replace, or freeze: tasks of a silent node wait for it unless it has left or is removed")
	f.IntVar(&s.maxParallel, "max-parallel", 1, "how many tasks are replaced at once")
	f.StringVar(&s.pull, "pull", "missing", "missing, always or never: when the image is fetched")
	f.BoolVar(&s.pack, "pack", false, "fill nodes up one after the other instead of spreading")
	s.access.register(cmd)
}

// job is what the flags, the file and the words after the flags ask for. Flags
// that are not given leave what the file says, or the defaults.
func (s *specFlags) job(env *Env, cmd *cobra.Command, words []string) (api.Job, error) {
	job := api.NewJob()
	if s.file != "" {
		if err := readJobFile(env, s.file, &job); err != nil {
			where := s.file
			if where == "-" {
				where = "standard input"
			}
			return job, usageError(cmd, "%s: %s", where, err)
		}
	}
	for name, set := range map[string]func(){
		"name":   func() { job.Name = s.name },
		"type":   func() { job.Type = api.JobType(s.jobType) },
		"driver": func() { job.Driver = s.driver },
	} {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
	switch {
	case len(words) == 0:
	case job.Driver == "process":
		job.Command = words
	default:
		job.Image = words[0]
		if len(words) > 1 {
			job.Command = words[1:]
		}
	}
	if err := s.program(cmd, job, words); err != nil {
		return job, err
	}
	return job, s.change(env, cmd, &job)
}

// change sets in job what the flags of registerChangeable ask for.
func (s *specFlags) change(env *Env, cmd *cobra.Command, job *api.Job) error {
	for name, set := range map[string]func(){
		"replicas":       func() { job.Replicas = s.replicas },
		"stop-timeout":   func() { job.StopTimeout = api.Duration(s.stopTimeout) },
		"start-timeout":  func() { job.StartTimeout = api.Duration(s.startTimeout) },
		"failover-after": func() { job.FailoverAfter = api.Duration(s.failoverAfter) },
		"on-partition":   func() { job.OnPartition = s.onPartition },
		"max-parallel":   func() { job.MaxParallel = s.maxParallel },
		"pull":           func() { job.Pull = s.pull },
		"pack":           func() { job.Pack = s.pack },
	} {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
	for _, set := range []func(*Env, *cobra.Command, *api.Job) error{s.amounts, s.environment, s.ports, s.policies, s.access.set} {
		if err := set(env, cmd, job); err != nil {
			return err
		}
	}
	return nil
}

// program says in the words of the command line what is missing to run.
func (s *specFlags) program(cmd *cobra.Command, job api.Job, words []string) error {
	switch {
	case job.Driver == "docker" && job.Image == "":
		return usageError(cmd, "an image is missing: %s [flags] IMAGE [CMD...]", cmd.CommandPath())
	case job.Driver == "process" && len(job.Command) == 0:
		return usageError(cmd, "a command is missing: %s --driver process [flags] -- CMD...", cmd.CommandPath())
	case cmd.Flags().Changed("name") && job.Name == "":
		return usageError(cmd, "--name is empty")
	case len(words) > 0 && strings.HasPrefix(words[0], "-"):
		return usageError(cmd, "%q is where the image or command should be", words[0])
	case job.Driver == "docker":
		if _, err := reference.ParseNormalizedNamed(job.Image); err != nil {
			return usageError(cmd, "%.80q is no image: %s", job.Image, strings.TrimPrefix(err.Error(), "invalid reference format: "))
		}
	}
	return nil
}

// amounts sets reservations and limits. --cpus and -m are both at once, as
// docker's are limits and a reservation that is less would be overcommitted.
func (s *specFlags) amounts(_ *Env, cmd *cobra.Command, job *api.Job) error {
	for _, a := range []struct {
		flag, value string
		cpus        []*api.CPUs
		memory      []*api.Bytes
	}{
		{flag: "--cpus", value: s.cpus, cpus: []*api.CPUs{&job.Resources.CPUs, &job.Limits.CPUs}},
		{flag: "--memory", value: s.memory, memory: []*api.Bytes{&job.Resources.Memory, &job.Limits.Memory}},
		{flag: "--reserve-cpu", value: s.reserveCPU, cpus: []*api.CPUs{&job.Resources.CPUs}},
		{flag: "--reserve-memory", value: s.reserveMemory, memory: []*api.Bytes{&job.Resources.Memory}},
	} {
		if a.value == "" && !cmd.Flags().Changed(a.flag[2:]) {
			continue
		}
		for _, to := range a.cpus {
			v, err := api.ParseCPUs(a.value)
			if err != nil {
				return usageError(cmd, "%s: %s", a.flag, err)
			}
			*to = v
		}
		for _, to := range a.memory {
			v, err := api.ParseBytes(a.value)
			if err != nil {
				return usageError(cmd, "%s: %s", a.flag, err)
			}
			*to = v
		}
	}
	return nil
}

// environment sets variables and labels: the files in their order, then -e.
func (s *specFlags) environment(env *Env, cmd *cobra.Command, job *api.Job) error {
	for _, name := range s.envFiles {
		if err := readEnvFile(env, name, job.Env); err != nil {
			return usageError(cmd, "--env-file %s: %s", name, err)
		}
	}
	for _, word := range s.env {
		if err := setVariable(env, word, job.Env); err != nil {
			return usageError(cmd, "-e %s", err)
		}
	}
	for _, word := range s.labels {
		key, value, err := api.ParseLabel(word)
		if err != nil {
			return usageError(cmd, "-l %q: %s", word, err)
		}
		job.Labels[key] = value
	}
	return nil
}

// setVariable reads K=V, or K whose value is taken from env.
func setVariable(env *Env, word string, to map[string]string) error {
	key, value, ok := strings.Cut(word, "=")
	if key == "" {
		return fmt.Errorf("%q: the name is missing (K=V)", word)
	}
	if !ok {
		if value = env.Getenv(key); value == "" {
			return fmt.Errorf("%s: the variable is not set here, or empty (write %s=VALUE)", key, key)
		}
	}
	to[key] = value
	return nil
}

// readEnvFile reads docker's format: a variable a line, # begins a comment, and
// quotes mean nothing.
func readEnvFile(env *Env, name string, to map[string]string) error {
	f, err := os.Open(name)
	if err != nil {
		return errors.Unwrap(err) // a PathError: the name is told by the caller
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, api.MaxJobSize+1))
	lines.Buffer(nil, api.MaxJobSize+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		if err := setVariable(env, line, to); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// ports replaces those of the file by those of -p.
func (s *specFlags) ports(_ *Env, cmd *cobra.Command, job *api.Job) error {
	if len(s.publish) > 0 {
		job.Ports = nil
	}
	for _, word := range s.publish {
		p, err := parsePort(word, job.Driver == "process")
		if err != nil {
			return usageError(cmd, "-p %q: %s", word, err)
		}
		job.Ports = append(job.Ports, p)
	}
	return nil
}

// parsePort reads HOST:TARGET[/PROTOCOL] or, if alone, also PORT[/PROTOCOL].
func parsePort(s string, alone bool) (api.Port, error) {
	p := api.Port{Protocol: "tcp", Mode: "host"}
	numbers, protocol, ok := strings.Cut(s, "/")
	if ok {
		p.Protocol = protocol
	}
	if p.Protocol != "tcp" && p.Protocol != "udp" {
		return p, fmt.Errorf("the protocol %q is none of tcp, udp", p.Protocol)
	}
	host, target, both := strings.Cut(numbers, ":")
	var err error
	switch {
	case strings.Count(numbers, ":") > 1:
		return p, errors.New("an address cannot be given, only HOST:TARGET")
	case !both && !alone:
		return p, fmt.Errorf("write HOST:TARGET, as %s:%s", numbers, numbers)
	case both:
		if p.Target, err = portNumber(target); err != nil {
			return p, err
		}
	}
	p.Published, err = portNumber(host)
	return p, err
}

func portNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%q is not a port (1 to 65535)", s)
	}
	return n, nil
}

// policies reads --restart.
func (s *specFlags) policies(_ *Env, cmd *cobra.Command, job *api.Job) error {
	if !cmd.Flags().Changed("restart") {
		return nil
	}
	policy, attempts, counted := strings.Cut(s.restart, ":")
	job.Restart.Policy = policy
	if !counted {
		return nil
	}
	n, err := strconv.Atoi(attempts)
	if err != nil || n < 0 || policy != "on-failure" {
		return usageError(cmd, "--restart %q is none of always, on-failure, on-failure:N, no", s.restart)
	}
	job.Restart.Attempts = n
	return nil
}

// defaultName is a name made of what is run, and four random letters.
func defaultName(job api.Job, letters string) string {
	base := path.Base(job.Image)
	if job.Driver == "process" && len(job.Command) > 0 {
		base = path.Base(job.Command[0])
	}
	base, _, _ = strings.Cut(base, "@")
	base, _, _ = strings.Cut(base, ":")
	base = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, strings.ToLower(base))
	base = strings.Trim(base[:min(len(base), 50)], "-_")
	if base == "" {
		base = "job"
	}
	return base + "-" + letters
}

// seconds is a length of time on the command line: "10s", or "10" as docker has it.
type seconds time.Duration

// String is empty for none, so that help shows no default of its own.
func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// Set reads the text of a flag.
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, failed := strconv.ParseUint(text, 10, 31); failed == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil {
		return errors.New("it is not a length of time (write 10s or 1m30s)")
	}
	if d < 0 {
		return errors.New("it is negative")
	}
	*s = seconds(d)
	return nil
}

// Type names the kind of value in help.
func (s *seconds) Type() string { return "TIME" }
