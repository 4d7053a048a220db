// Package process runs tasks as plain processes of this machine, for machines
// without an engine, for demonstrations, and for many nodes on one machine.
//
// # Purpose
//
// A task is the job's command under a small /bin/sh, the wrapper, which does what
// an engine would: it outlives the agent and writes down how the command ended.
// Nothing of a task depends on the agent: its output goes to files that it has
// open itself, and a new agent finds it by process number and start time.
//
// # On disk
//
// Each attempt has a directory JOB.LIFE.SLOT.EPOCH below Config.Dir; that name is
// the container's ID, so an attempt that is restarted in place keeps it.
//
//	labels.json   runtime.Labels, written once
//	leader.json   the wrapper: number, start stamp, time
//	stdout.log    what the task wrote
//	stderr.log
//	work/         the working directory of the task
//	exit          the exit code in decimal and a newline, written by the wrapper
//	end.json      how the attempt ended; only there once nothing of it runs
//
// A directory is made under a name that begins with a dot and renamed when it is
// whole; it is renamed back to such a name before it is removed. So an attempt has
// all its files or is not there, whenever the agent was killed. The wrapper waits
// for a word from the agent before it begins, which is sent only after the rename:
// there is no process that no directory tells of.
//
// # Invariants
//
// A process is known by its number and its start stamp together, never by a number
// alone. What is of an attempt is whatever is in the wrapper's session, or has
// ORCH_DIR=<its directory> in its environment; nothing else is ever signalled. An
// attempt is exited only once nothing of it is left: if the wrapper has ended, the
// rest is killed first. Nobody but one driver at a time uses a Dir.
//
// # What it does not do
//
// A plain process has no enforced limits: Spec.Limits is ignored. It is no sandbox
// either: a task may do whatever the agent's user may, to the agent and its files
// too. Logs are neither rotated nor bounded. The files hold no times of lines, so
// the times of [Driver.Logs] are estimates. A service manager that ends all
// processes of a service ends the tasks with the agent (systemd: KillMode=process
// prevents it).
package process
