package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	drivers                        []string
	profile                        string
	cpus, memory                   string
	labels                         []string
	tokenFile, token               string
	logLevel, logFormat            string
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
	flags.StringVar(&f.profile, "profile", string(gossip.ProfileLAN), "timing of gossip: lan, or fast for one machine and labs")
	flags.StringVar(&f.cpus, "cpus", "", "cores to offer (default all)")
	flags.StringVar(&f.memory, "memory", "", "memory to offer, as 4GiB (default all)")
	flags.StringArrayVarP(&f.labels, "label", "l", nil, "`KEY=VALUE` label of this node; zone=… is used to spread tasks")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the cluster's join token; - is standard input")
	flags.StringVar(&f.token, "token", "", "the join token itself; ps and the shell's history see it, so prefer --token-file")
	flags.StringVar(&f.logLevel, "log-level", "info", "error, warning, info or debug")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
}

// fromEnvironment sets flags that were not given from ORCH_NAME, ORCH_DATA_DIR
// and so on.
func fromEnvironment(cmd *cobra.Command, env *Env) error {
	var bad error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := "ORCH_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v := env.Getenv(name)
		if f.Changed || v == "" || f.Name == "token" || f.Name == "token-file" || bad != nil {
			return
		}
		if err := f.Value.Set(v); err != nil {
			bad = usageError(cmd, "%s=%q: %v", name, v, err)
		}
	})
	return bad
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
func (f *agentFlags) place(cmd *cobra.Command) error {
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
		if f.api == "" {
			f.api = net.JoinHostPort("127.0.0.1", strconv.Itoa(f.ports))
		}
	}
	if f.api == "" {
		f.api = net.JoinHostPort("127.0.0.1", strconv.Itoa(defaultAPIPort))
	}
	if strings.Contains(f.api, ",") {
		return usageError(cmd, "--api %s: an agent listens on one address (is ORCH_API set?)", f.api)
	}
	if _, _, err := net.SplitHostPort(f.api); err != nil {
		return usageError(cmd, "--api %s: want HOST:PORT", f.api)
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
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	case f.token != "":
		fmt.Fprintln(env.Stderr, "warning: a token on the command line is seen by ps and kept in the shell's history: prefer --token-file")
		return f.token, nil
	case env.Getenv("ORCH_TOKEN") != "":
		return env.Getenv("ORCH_TOKEN"), nil
	}
	return promptToken(env)
}
