package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
)

// importImage makes an image with nothing in it but an empty file.
func importImage(t *testing.T, cli *client.Client, changes ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "empty", Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	tag := "orch-test/empty:" + strings.ToLower(rand.Text()[:10])
	body, err := cli.ImageImport(t.Context(), image.ImportSource{Source: &b, SourceName: "-"}, tag, image.ImportOptions{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if said, err := io.ReadAll(body); err != nil || strings.Contains(string(said), `"error"`) {
		t.Fatalf("import: %s (%v)", said, err)
	}
	t.Cleanup(func() { dockertest.RemoveImage(t, cli, tag) })
	return tag
}

// TestVolumesGoWithTheContainer uses an image that wants a volume.
func TestVolumesGoWithTheContainer(t *testing.T) {
	r := newRig(t)
	c := r.start(t, r.spec("plain", "sleep"))
	made, err := r.cli.ContainerCommit(t.Context(), c.ID, container.CommitOptions{Changes: []string{"VOLUME /data"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dockertest.RemoveImage(t, r.cli, made.ID) })
	spec := r.spec("web", "exit", "0")
	spec.Image = made.ID
	if !r.HasImage(made.ID) {
		t.Errorf("HasImage(%q) is false, want true", made.ID)
	}
	c = awaitEnd(t, r, r.start(t, spec).ID)
	in, err := r.cli.ContainerInspect(t.Context(), c.ID)
	if err != nil || len(in.Mounts) != 1 {
		t.Fatalf("its mounts are %+v (%v), want one volume", in.Mounts, err)
	}
	if err := r.Remove(t.Context(), c.ID); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if _, err := r.cli.VolumeInspect(context.Background(), in.Mounts[0].Name); !cerrdefs.IsNotFound(err) {
		t.Errorf("the volume %s is still there (%v)", in.Mounts[0].Name, err)
	}
}
