package api

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

var (
	jobName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)
	nodeName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	labelKey  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	maxLabel  = 256
	maxWord   = 32 << 10 // one argument or environment value
	nameRules = "1 to 63 of a-z 0-9 _ -, beginning and ending with a letter or digit"
)

// ValidJobName says whether s can name a job: no dot (web.0 is a task), nothing
// that means anything to a path, a label or a shell.
func ValidJobName(s string) bool { return jobName.MatchString(s) }

// ValidNodeName says whether s can name a node; host names can.
func ValidNodeName(s string) bool { return nodeName.MatchString(s) }

// checkLabel says what is wrong with a label, or "".
func checkLabel(key, value string) string {
	switch {
	case !labelKey.MatchString(key):
		return fmt.Sprintf("%.80q is no label key (1 to 63 of A-Z a-z 0-9 . _ / -, beginning and ending with a letter or digit)", key)
	case len(value) > maxLabel:
		return fmt.Sprintf("the value of label %s is longer than %d bytes", key, maxLabel)
	case strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Sprintf("the value of label %s has a control character", key)
	}
	return ""
}

// TaskID names slot Index of a job, or one attempt at it when Epoch is not 0.
type TaskID struct {
	Job   string
	Index int
	Epoch uint64
}

// ParseTaskID reads "web.3" or "web.3@2".
func ParseTaskID(s string) (TaskID, error) {
	bad := func() (TaskID, error) {
		return TaskID{}, Errorf(Invalid, "%.80q is not a task (a task is JOB.INDEX, as web.0, or one attempt of it, as web.0@2)", s)
	}
	rest, epoch, hasEpoch := strings.Cut(s, "@")
	job, index, ok := strings.Cut(rest, ".")
	if !ok || !ValidJobName(job) {
		return bad()
	}
	id := TaskID{Job: job}
	var err error
	if id.Index, err = strconv.Atoi(index); err != nil || id.Index < 0 || strconv.Itoa(id.Index) != index {
		return bad()
	}
	if hasEpoch {
		if id.Epoch, err = strconv.ParseUint(epoch, 10, 64); err != nil || id.Epoch == 0 || strconv.FormatUint(id.Epoch, 10) != epoch {
			return bad()
		}
	}
	return id, nil
}

// Slot is id without its epoch, as text: "web.3".
func (id TaskID) Slot() string { return id.Job + "." + strconv.Itoa(id.Index) }

// String is "web.3", or "web.3@2" for one attempt.
func (id TaskID) String() string {
	if id.Epoch == 0 {
		return id.Slot()
	}
	return id.Slot() + "@" + strconv.FormatUint(id.Epoch, 10)
}
