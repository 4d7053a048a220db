package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/exitae337/orchestergo/api"
)

// readJobFile decodes the file name, or stdin for "-", on top of job. Unknown fields
// are refused: a field that is misspelt would be a job that is not what was meant.
func readJobFile(env *Env, name string, job *api.Job) error {
	in := env.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return errors.Unwrap(err)
		}
		defer f.Close()
		in = f
	}
	// What the cluster says of a job is more than its specification, hence twice.
	b, err := io.ReadAll(io.LimitReader(in, 2*api.MaxJobSize+1))
	var file *os.PathError
	switch {
	case errors.As(err, &file): // the name is told by the caller
		return file.Err
	case err != nil:
		return err
	case len(b) > 2*api.MaxJobSize:
		return fmt.Errorf("over %d bytes: is it a job?", 2*api.MaxJobSize)
	}
	return decodeJob(string(b), job)
}

// decodeJob reads one JSON object and says what is wrong with it in terms of JSON.
func decodeJob(text string, job *api.Job) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(job)
	line := strings.Count(text[:min(int(dec.InputOffset()), len(text))], "\n") + 1
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON breaks off")
	case errors.As(err, &syntax):
		line = strings.Count(text[:min(int(syntax.Offset), len(text))], "\n") + 1
		return fmt.Errorf("line %d is not JSON: %w", line, err)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("a job is a JSON object (this is: %s)", kind.Value)
	case errors.As(err, &kind):
		return fmt.Errorf("%s: a %s is of the wrong type", kind.Field, kind.Value)
	case err != nil:
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: there is more than one job", line)
	}
	// A null leaves a list or map without a place to put more in.
	*job = job.Spec()
	return nil
}
