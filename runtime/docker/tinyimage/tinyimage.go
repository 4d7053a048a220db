// Package tinyimage makes a container image out of one static program, so that
// there is something to run where no registry can be reached: in a demonstration,
// and in tests.
package tinyimage

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// Import makes the engine at host ("" is DOCKER_HOST or the default socket) have an
// image called tag, which holds nothing but the program at path, and runs it with
// the container's command as its arguments. The program must be a static one for
// the engine's system and architecture. An image that had the tag before loses it.
func Import(ctx context.Context, host, tag, path string) error {
	opts := []client.Opt{client.WithTLSClientConfigFromEnv(), client.WithHostFromEnv(), client.WithAPIVersionNegotiation()}
	if host != "" {
		opts = append(opts, client.WithHost(host))
	}
	cli, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return fmt.Errorf("import image %s: %w", tag, err)
	}
	defer cli.Close()
	files, err := archive(path)
	if err != nil {
		return fmt.Errorf("import image %s: %w", tag, err)
	}
	entry, err := json.Marshal([]string{"/" + filepath.Base(path)})
	if err != nil {
		return fmt.Errorf("import image %s: %w", tag, err)
	}
	body, err := cli.ImageImport(ctx, image.ImportSource{Source: files, SourceName: "-"}, tag,
		image.ImportOptions{Changes: []string{"ENTRYPOINT " + string(entry)}})
	if err != nil {
		return fmt.Errorf("import image %s: %w", tag, err)
	}
	defer body.Close()
	if err := answer(body); err != nil {
		return fmt.Errorf("import image %s: %w", tag, err)
	}
	return nil
}

// archive is a tar of the program alone, in the root directory.
func archive(path string) (io.Reader, error) {
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err = w.WriteHeader(&tar.Header{Name: filepath.Base(path), Mode: 0o755, Size: int64(len(program))})
	if err == nil {
		_, err = w.Write(program)
	}
	return &b, errors.Join(err, w.Close())
}

// answer reads what the engine says to its end, and fails if that is an error.
func answer(body io.Reader) error {
	for in := json.NewDecoder(body); ; {
		var m struct {
			Error string `json:"error"`
		}
		err := in.Decode(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
	}
}
