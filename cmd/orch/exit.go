package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// The exit codes. Scripts rely on them.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitWaiting     = 5
	exitFailed      = 6
	exitUnreachable = 7
	exitForbidden   = 8
	exitInterrupted = 130
)

const exitCodesText = `Exit codes of orch:

  0    done
  1    an error that is none of the following
  2    wrong usage or an invalid specification; nothing was stored
  3    there is no such job, task, node or sheet
  4    it exists already, somebody was faster, or the request was refused
  5    accepted, but not all is running (no room, or the wait ran out); or a check
       could not make sure
  6    a task, a job or a check failed
  7    no API can be reached, or the node is not ready
  8    not allowed: the token is missing or wrong
  130  ended by Ctrl-C; what was accepted goes on

With codes 5, 6 and 130 the job is kept: orch explain JOB tells why, orch rm JOB removes it.`

// newExitCodesTopic is the help topic of the codes.
func newExitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesText, DisableFlagsInUseLine: true}
}

// A usage is a command line that cannot be carried out.
type usage struct{ text, hint string }

func (u *usage) Error() string { return u.text }

// usageError says what is wrong with the command line of cmd.
func usageError(cmd *cobra.Command, format string, args ...any) *usage {
	return &usage{text: fmt.Sprintf(format, args...), hint: cmd.CommandPath() + " --help shows how it is used"}
}

// said is an exit code of which the user was told everything already.
type said int

func (s said) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// several is the errors of a command that did several things.
type several []error

func (s several) Error() string { return errors.Join(s...).Error() }

func (s several) Unwrap() []error { return s }

// join is nil, the only error, or several.
func join(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return several(errs)
}

// cannot wraps err with what was to be done. A name that is taken is told with
// how old its owner is.
func cannot(what string, err error, now time.Time) error {
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.JobExists && e.Current != nil {
		taken := *e
		taken.Detail = fmt.Sprintf("the name is taken (generation %d, %s)", e.Current.Generation, ago(now, e.Current.CreatedAt))
		if taken.Hint == "" {
			taken.Hint = fmt.Sprintf("orch explain %s shows that job; orch rm %s removes it; --name gives this one another name", e.Current.Name, e.Current.Name)
		}
		err = &taken
	}
	return fmt.Errorf("cannot %s: %w", what, err)
}

// exitCode is the code for err; of several errors, the first counts.
func exitCode(err error) int {
	var done said
	var wrong *usage
	var e *api.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &wrong):
		return exitUsage
	case errors.As(err, &done):
		return int(done)
	case errors.As(err, &e):
		return codeExit(e.Code)
	case errors.Is(err, rest.ErrUnreachable), errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, rest.ErrOutcomeUnknown):
		return exitUnreachable
	}
	return exitError
}

// codeExit maps the code of a refusal.
func codeExit(code api.Code) int {
	switch code {
	case api.BadRequest, api.UnknownField, api.BadQuery, api.Invalid, api.NotSupported, api.TooLarge:
		return exitUsage
	case api.JobNotFound, api.TaskNotFound, api.NodeNotFound, api.AuctionExpired:
		return exitNotFound
	case api.JobExists, api.Stale, api.KeyReused, api.AmbiguousName, api.NodeAlive, api.OtherCluster, api.NotScalable, api.NewerRelease, api.NotRunning, api.TableFull:
		return exitRefused
	case api.NotReady, api.ClockOff, api.TooMany:
		return exitUnreachable
	case api.Unauthorized, api.Forbidden, api.WrongHost:
		return exitForbidden
	}
	return exitError
}

// report tells the user of err and returns the exit code.
func report(ctx context.Context, env *Env, cmd *cobra.Command, err error) int {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		if errors.Is(err, rest.ErrOutcomeUnknown) {
			fmt.Fprintf(env.Stderr, "interrupted: %s\n", clean(err.Error()))
		}
		return exitInterrupted
	}
	errs := []error{err}
	if all := several(nil); errors.As(err, &all) {
		errs = all
	}
	for _, one := range errs {
		if one != nil && !errors.As(one, new(said)) {
			tell(env, cmd, one)
		}
	}
	return exitCode(errs[0])
}

// tell prints one error, as a problem of the API if the answer was to be JSON.
func tell(env *Env, cmd *cobra.Command, err error) {
	if wantsJSON(cmd) {
		if b, failed := rest.ProblemJSON(problem(err)); failed == nil {
			fmt.Fprintf(env.Stderr, "%s\n", b)
			return
		}
	}
	fmt.Fprintf(env.Stderr, "error: %s\n", clean(err.Error()))
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(env.Stderr, "hint: %s\n", clean(hint))
	}
}

// wantsJSON says whether cmd was asked to answer in JSON.
func wantsJSON(cmd *cobra.Command) bool {
	output, format := cmd.Flags().Lookup("output"), cmd.Flags().Lookup("format")
	return output != nil && output.Changed && (output.Value.String() == "json" || output.Value.String() == "ndjson") ||
		format != nil && format.Value.String() == "json"
}

// problem is err as an error of the API. Of a refusal it is what the node said;
// the rest is said in its terms.
func problem(err error) *api.Error {
	var refusal *api.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	e := &api.Error{Code: api.Internal, Detail: err.Error(), Hint: hintFor(err)}
	switch exitCode(err) {
	case exitUsage:
		e.Code = api.BadRequest
	case exitUnreachable:
		e.Code = api.NodeUnreachable
	}
	return e
}

// hintFor says what to do about err, or "".
func hintFor(err error) string {
	var wrong *usage
	var e *api.Error
	switch {
	case errors.As(err, &wrong):
		return wrong.hint
	case errors.Is(err, rest.ErrUnreachable):
		return "is a node running there? orch start runs one here; --api or ORCH_API names another"
	case errors.Is(err, rest.ErrOutcomeUnknown):
		return "orch jobs shows whether it happened"
	case errors.Is(err, context.DeadlineExceeded):
		return "the node does not answer in time; --api or ORCH_API names another"
	case !errors.As(err, &e):
		return ""
	case e.Code == api.Unauthorized: // the node's own hint is for who speaks HTTP
		return "put the token of the API into ORCH_TOKEN, or the name of a file with it into ORCH_TOKEN_FILE (orch token --api, on a node, prints it)"
	case e.Hint != "":
		return e.Hint
	}
	switch e.Code {
	case api.JobNotFound:
		return "orch jobs lists the jobs"
	case api.TaskNotFound:
		return "orch ps --all lists the tasks"
	case api.NodeNotFound, api.AmbiguousName:
		return "orch nodes lists the nodes with their ids"
	case api.NodeAlive:
		return "orch node drain empties it; orch leave, on that machine, takes it out"
	case api.NotReady, api.ClockOff, api.TooMany:
		if e.RetryAfter > 0 {
			return "try again in " + span(e.RetryAfter)
		}
		return "try again, or name another node with --api or ORCH_API"
	}
	return ""
}
