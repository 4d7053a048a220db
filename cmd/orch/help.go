package main

import (
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

const firstScreen = `orch: containers on your machines, with no master.

Every node runs the same program. Give a job to any of them; they bid for it;
if any of them dies, the others put the work back.

  sudo orch start                            # make this machine a node: a cluster of one
  orch join FIRST --token-file token         # on the next machine (ports 7071 tcp+udp, 7072 tcp)
  orch run --name web --replicas 3 nginx     # any node takes it. No Docker: --driver process -- sleep 1d
  orch ps -w                                 # where its tasks are; pull a plug and watch it heal
  orch explain web.2                         # who was asked, what each bid, why this one

The commands have docker's names and habits. They ask the node on this machine;
--api or ORCH_API names another.`

const environmentText = `What orch reads from its environment:

  ORCH_API         the nodes to ask, each in turn until one answers: host:port,host:port or
                   unix:///path (default 127.0.0.1:7070); --api wins
  ORCH_TOKEN       the token for an API beyond loopback, or to join with
  ORCH_TOKEN_FILE  the name of a file that has it; wins over ORCH_TOKEN
  NO_COLOR         anything: no colours
  TERM             dumb: no colours, and nothing is drawn in place

Each flag of orch start and orch join is also a variable: ORCH_DATA_DIR for --data-dir.`

const formsText = `What commands print, and how to have it otherwise:

  -o table    for people; columns may be added (on a terminal long texts are cut: --no-trunc)
  -o wide     a table with all columns
  -o json     what the API says, byte for byte; errors are then problems (RFC 9457) on stderr
  -o ndjson   the same, each thing on a line of its own
  -o csv      all columns under fixed names; times in RFC 3339, memory in bytes
  -o name     names alone, as -q
  --format    a Go template for each thing; or json, which is ndjson

Only the answer goes to stdout. Progress, warnings and errors go to stderr: drawn in
place on a terminal, otherwise a line for each change with its time.

A template has the fields of the API under these names (\t is a tab, \n a new line;
functions: json, join, upper, lower). After the word table, tabs part columns with heads:

FIELDS

For example:

  orch ps --format '{{.ID}}\t{{.NodeName}}\t{{.State}}'
  orch jobs --format '{{.Name}} {{.Status.Running}}/{{.Status.Wanted}}'
  orch nodes --format '{{.Name}} {{.Free.Memory}} {{join .Drivers ","}}'`

// newEnvironmentTopic is the help topic of the variables.
func newEnvironmentTopic() *cobra.Command {
	return &cobra.Command{Use: "environment", Short: "The variables that orch reads", Long: environmentText}
}

// newFormsTopic is the help topic of -o and --format.
func newFormsTopic() *cobra.Command {
	fields := fieldsOf[api.Job]("a job") + fieldsOf[api.Task]("a task") + fieldsOf[api.Node]("a node") +
		fieldsOf[api.Status](".Status") + fieldsOf[api.Resources]("amounts") + fieldsOf[api.Port]("a port")
	return &cobra.Command{Use: "formats", Short: "What commands print, and in which forms", Long: strings.Replace(formsText, "FIELDS\n", fields, 1)}
}

// fieldsOf lists what a template can say of a T.
func fieldsOf[T any](name string) string {
	var b strings.Builder
	line := "  " + name + strings.Repeat(" ", max(1, 10-len(name)))
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if len(line)+len(f.Name) > 85 {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", 12)
		}
		line += "." + f.Name + " "
	}
	b.WriteString(line + "\n")
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// newHelpCommand is cobra's, but an unknown topic is an error.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		GroupID: "orch",
		Use:     "help [COMMAND|TOPIC]",
		Short:   "Help about a command or topic",
		Example: `  orch help run
  orch help exit-codes
  orch help formats`,
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || topic == nil || len(rest) > 0 {
				return noSuchCommand(cmd.Root(), args)
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}
