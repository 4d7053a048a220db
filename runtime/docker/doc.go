// Package docker runs tasks as containers of a Docker engine, through its API.
//
// # Purpose
//
// One attempt of a task is one container. All that the driver needs to know of it
// is in the container's labels, so the containers of an agent that was killed are
// worth as much to the next one: it finds them with List and goes on. Nothing is
// kept on disk.
//
// # Invariants
//
// Only containers whose labels name this cluster and this node are ever signalled
// or removed; that is read from the engine anew before each such call. An ID is an
// engine's full ID, never a name or the beginning of one. Other agents may share the
// engine: names of containers have a hash of the node in them.
//
// Every call of the engine ends with the caller's context, and nearly every one has
// a deadline of its own besides, so an engine that accepts and never answers blocks
// nobody for long. That a container is gone is only said when the engine says so:
// an engine that cannot be reached is an error.
//
// The engine never restarts a container: whether and where a task runs again is the
// agent's decision.
//
// # How a container is confined
//
// Processes gain no privileges by set-uid programs (no-new-privileges). There are at
// most 1024 of them, so that a fork bomb does not take the machine. The capability
// NET_RAW, with which a container can forge packets on the bridge that it shares with
// others, is dropped; ping works without it on Docker 20.10 and later. All else is
// Docker's default: other capabilities of its list are what ordinary images such as
// nginx and postgres need to start. A privileged container, the host's namespaces,
// devices, bind mounts and the engine's own socket are refused unless the owner of
// the node allows them.
//
// The engine's init is not put in front of the program, as with a plain docker run:
// images with an init of their own insist on being process 1, and an engine may
// lack the program for it. So a program that handles no SIGTERM ignores it, as
// process 1 does, and is killed after its grace.
//
// Logs go to the engine's json-file driver, at most three files of 10 MB each: a
// chatty task cannot fill the disk, and loses its oldest lines. How long containers that
// have exited are kept for their logs, and how many, is the agent's to say.
//
// # Registries
//
// Credentials for registries are had as docker's own client has them: from the file
// that "docker login" writes, and from the credential helpers that it names.
//
// # What it does not do
//
// Engines by ssh:// are not reached.
package docker
