package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// Default ports: one block, clear of those of Swarm, Nomad, Consul and WireGuard.
const (
	defaultAPIPort    = 7070
	defaultGossipPort = 7071
	defaultPeerPort   = 7072
)

// agentFlags are the flags of start and join, which are the same but for what
// they do about peers.
type agentFlags struct {
	name, dataDir, bind, advertise string
	gossipPort, peerPort, ports    int
	api                            string
	drivers, allow                 []string
	profile                        string
	cpus, memory                   string
	labels                         []string
	tokenFile, token               string
	logLevel, logFormat            string
	pprof                          bool
}

// register adds the flags to a command.
func (f *agentFlags) register(flags *pflag.FlagSet, env *Env) {
	host, _ := os.Hostname() // without one --name must be given, which New says
	host, _, _ = strings.Cut(host, ".")
	flags.StringVar(&f.name, "name", host, "name of this node, for people")
	flags.StringVar(&f.dataDir, "data-dir", defaultDataDir(env), "where the node keeps its key, its table and its tasks' files")
	flags.StringVar(&f.bind, "bind", "", "address to listen on for other nodes (default all)")
	flags.StringVar(&f.advertise, "advertise", "", "`IP|INTERFACE[:PORT]` at which other nodes reach this one (default: the address towards the peer, or of the default route)")
	flags.IntVar(&f.gossipPort, "gossip-port", defaultGossipPort, "port for gossip, TCP and UDP")
	flags.IntVar(&f.peerPort, "peer-port", defaultPeerPort, "port for all else between nodes, TCP")
	flags.IntVar(&f.ports, "ports", 0, "`BASE` of all three ports: API on BASE, gossip on BASE+1, peers on BASE+2")
	flags.StringSliceVar(&f.drivers, "drivers", []string{"docker"}, "how this node runs tasks: docker, process (plain processes of this user), or both")
	flags.StringSliceVar(&f.allow, "allow", nil, "what containers may have of this node beyond their confinement; of "+strings.Join(api.Allowances(), ", "))
	flags.StringVar(&f.profile, "profile", string(gossip.ProfileLAN), "timing of gossip: lan, or fast for one machine and labs")
	flags.StringVar(&f.cpus, "cpus", "", "cores to offer (default all)")
	flags.StringVar(&f.memory, "memory", "", "memory to offer, as 4GiB (default all)")
	flags.StringArrayVarP(&f.labels, "label", "l", nil, "`KEY=VALUE` label of this node; zone=… is used to spread tasks")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the cluster's join token; - is standard input")
	flags.StringVar(&f.token, "token", "", "the join token itself; ps and the shell's history see it, so prefer --token-file")
	flags.StringVar(&f.logLevel, "log-level", "info", "error, warning, info or debug")
	flags.BoolVar(&f.pprof, "pprof", false, "serve Go's profiles of this process at /debug/pprof/ of the API, on loopback only")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
}

// fromEnvironment sets flags that were not given from ORCH_NAME, ORCH_DATA_DIR
// and so on.
func fromEnvironment(cmd *cobra.Command, env *Env) error {
	var bad error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		v := env.Getenv(name)
		if f.Changed || v == "" || f.Name == "token" || f.Name == "token-file" || bad != nil {
			return
		}
		if err := f.Value.Set(v); err != nil {
			bad = usageError(cmd, "%s=%q: %v", name, v, err)
		}
	})
	if bad == nil {
		warnUnknown(env)
	}
	return bad
}

// warnUnknown tells of ORCH_* variables that nothing reads: a misspelt one would
// otherwise be a setting that is quietly not made.
func warnUnknown(env *Env) {
	known := map[string]bool{"ORCH_API": true, "ORCH_TOKEN": true, "ORCH_TOKEN_FILE": true}
	for _, cmd := range []*cobra.Command{newStartCommand(env), newJoinCommand(env)} {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known[variable(f.Name)] = true })
	}
	for _, v := range env.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "ORCH_") && !known[name] {
			fmt.Fprintf(env.Stderr, "warning: the environment variable %s means nothing to orch (orch start --help lists the flags; --data-dir is ORCH_DATA_DIR)\n", clean(name))
		}
	}
}

// variable is the environment variable of a flag.
func variable(flag string) string {
	return "ORCH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// defaultDataDir is where root, or else this user, keeps a node.
func defaultDataDir(env *Env) string {
	if os.Geteuid() == 0 {
		return "/var/lib/orch"
	}
	if state := env.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "orch")
	}
	return filepath.Join(env.Getenv("HOME"), ".local", "state", "orch")
}

// place works out the ports and the address of the API.
func (f *agentFlags) place(cmd *cobra.Command, env *Env) error {
	f.api, _ = cmd.Flags().GetString("api")
	if f.ports != 0 {
		if f.ports < 1 || f.ports > 65533 {
			return usageError(cmd, "--ports %d: the base must be from 1 to 65533", f.ports)
		}
		for flag, port := range map[string]*int{"gossip-port": &f.gossipPort, "peer-port": &f.peerPort} {
			if !cmd.Flags().Changed(flag) {
				*port = f.ports + map[string]int{"gossip-port": 1, "peer-port": 2}[flag]
			}
		}
		typed := cmd.Flags().Changed("ports") && !cmd.Flags().Changed("api")
		if f.api == "" || typed { // ORCH_API may name another node, for the commands that ask one
			f.api = net.JoinHostPort("127.0.0.1", strconv.Itoa(f.ports))
		}
	}
	if f.api == "" {
		f.api = net.JoinHostPort("127.0.0.1", strconv.Itoa(defaultAPIPort))
	}
	from := "--api"
	if !cmd.Flags().Changed("api") && env.Getenv("ORCH_API") != "" {
		from = "ORCH_API" // set for the commands that ask a node
	}
	var err error
	if f.api, err = listenAddress(f.api); err != nil {
		return usageError(cmd, "%s=%s: %v", from, f.api, err)
	}
	if f.pprof && !staysHere(f.api) {
		return usageError(cmd, "--pprof is for an API on loopback or a socket, and this one is at %s", f.api)
	}
	return nil
}

// resources are what the node offers: what was given, or else what there is.
func (f *agentFlags) resources(cmd *cobra.Command) (api.Resources, error) {
	r, err := machineResources()
	if err != nil && (f.cpus == "" || f.memory == "") {
		return r, fmt.Errorf("find out what this machine has: %w (give --cpus and --memory)", err)
	}
	if f.cpus != "" {
		if r.CPUs, err = api.ParseCPUs(f.cpus); err != nil || r.CPUs == 0 {
			return r, usageError(cmd, "--cpus %q: want a number of cores above 0", f.cpus)
		}
	}
	if f.memory != "" {
		if r.Memory, err = api.ParseBytes(f.memory); err != nil || r.Memory == 0 {
			return r, usageError(cmd, "--memory %q: want an amount such as 4GiB", f.memory)
		}
	}
	return r, nil
}

// allowed reads --allow.
func (f *agentFlags) allowed(cmd *cobra.Command) ([]string, error) {
	for _, what := range f.allow {
		if !slices.Contains(api.Allowances(), what) {
			return nil, usageError(cmd, "--allow %.40q: there are %s", what, strings.Join(api.Allowances(), ", "))
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(f.allow))), nil
}

// nodeLabels reads --label.
func (f *agentFlags) nodeLabels(cmd *cobra.Command) (map[string]string, error) {
	out := map[string]string{}
	for _, l := range f.labels {
		k, v, err := api.ParseLabel(l)
		if err != nil {
			return nil, usageError(cmd, "--label %q: %v", l, err)
		}
		out[k] = v
	}
	return out, nil
}

// logger makes the agent's log, which goes to stderr.
func (f *agentFlags) logger(cmd *cobra.Command, w io.Writer) (*logrus.Logger, error) {
	log := logrus.New()
	log.SetOutput(w)
	level, err := logrus.ParseLevel(f.logLevel)
	if err != nil {
		return nil, usageError(cmd, "--log-level %q: want error, warning, info or debug", f.logLevel)
	}
	log.SetLevel(level)
	switch f.logFormat {
	case "text":
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: "2006-01-02T15:04:05.000Z07:00", DisableColors: true})
	case "json":
		log.SetFormatter(&logrus.JSONFormatter{})
	default:
		return nil, usageError(cmd, "--log-format %q: want text or json", f.logFormat)
	}
	return log, nil
}

// readToken finds the join token: file, environment, terminal, flag. It is "" when
// none was given and nobody can be asked.
func (f *agentFlags) readToken(env *Env) (string, error) {
	file := f.tokenFile
	if file == "" && f.token == "" {
		file = env.Getenv("ORCH_TOKEN_FILE")
	}
	switch {
	case file == "-":
		b, err := io.ReadAll(io.LimitReader(env.Stdin, 4096))
		if err != nil {
			return "", fmt.Errorf("read the token from standard input: %w", err)
		}
		if len(strings.TrimSpace(string(b))) == 0 {
			return "", errors.New("no token came on standard input")
		}
		return strings.TrimSpace(string(b)), nil
	case file != "":
		token, err := tokenFromFile(file)
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		return token, nil
	case f.token != "":
		fmt.Fprintln(env.Stderr, "warning: a token on the command line is seen by ps and kept in the shell's history: prefer --token-file")
		return f.token, nil
	case env.Getenv("ORCH_TOKEN") != "":
		return env.Getenv("ORCH_TOKEN"), nil
	}
	return promptToken(env)
}

// needToken is readToken where there is no going on without.
func (f *agentFlags) needToken(cmd *cobra.Command, env *Env) (string, error) {
	token, err := f.readToken(env)
	if err == nil && token == "" {
		err = usageError(cmd, "joining needs the cluster's token: run orch token on a member, and give it with --token-file, ORCH_TOKEN_FILE or ORCH_TOKEN")
	}
	return token, err
}

// promptToken asks a person for the token, without showing it.
func promptToken(env *Env) (string, error) {
	f, ok := env.Stdin.(*os.File)
	if !ok || !env.IsTerminal(env.Stdin) {
		return "", nil
	}
	fmt.Fprint(env.Stderr, "join token: ")
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(env.Stderr)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
