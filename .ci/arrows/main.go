// Command arrows fails when a package imports what it must not. The pure cores
// stay pure, and the program stays graspable, only while every import points the
// way the table below says. Run it at the root of the module.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const module = "github.com/exitae337/orchestergo"

// arrows says which packages of this module each package may import outside its
// tests. A package that is not in it is an error, so that a new one is a
// decision. Those with a star may import everything but commands.
var arrows = map[string][]string{
	"api":                           {},
	"api/compose":                   {"api"},
	"api/dashboard":                 {},
	"api/rest":                      {"api", "api/dashboard"},
	"bidding":                       {"api"},
	"cmd/orch":                      {"*"},
	"gossip":                        {},
	"peer":                          {"api", "gossip", "bidding", "runtime"},
	"runtime":                       {"api"},
	"runtime/docker":                {"runtime", "api"},
	"runtime/docker/dockertest":     {"runtime/docker/tinyimage"},
	"runtime/docker/tinyimage":      {},
	"runtime/docker/tinyimage/tiny": {},
	"runtime/fake":                  {"runtime", "api"},
	"runtime/process":               {"runtime", "api"},
	"scenarios":                     {"api", "api/rest", "scenarios/sim"},
	"scenarios/bare":                {},
	"scenarios/contract":            {},
	"scenarios/demo":                {"api", "api/rest", "scenarios", "runtime/docker/tinyimage"},
	"scenarios/e2e":                 {"api", "api/rest", "scenarios"},
	"scenarios/memnet":              {},
	"scenarios/soak":                {"api", "api/rest", "scenarios"},
	"scenarios/sim":                 {"api", "gossip", "bidding", "runtime", "runtime/fake", "peer"},
	"scenarios/sim/run":             {"scenarios/sim"},
}

// commands are the packages that nobody imports, tests included.
var commands = []string{"cmd/orch", "runtime/docker/tinyimage/tiny", "scenarios/bare", "scenarios/demo", "scenarios/sim/run"}

// topLevel is all that lies at the root, beside dot files and what is built.
var topLevel = []string{
	"api", "bidding", "cmd", "gossip", "peer", "runtime", "scenarios",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "bin",
}

// pkg is what go list says of a package, as far as it is needed here.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func main() {
	faults, n, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "arrows:", err)
		os.Exit(1)
	}
	for _, f := range faults {
		fmt.Fprintln(os.Stderr, "arrows:", f)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
	fmt.Printf("arrows: %d packages import only what they may\n", n)
}

// run checks the module in the working directory for every system it is built
// for, since a file may be for one of them only.
func run() (faults []string, packages int, err error) {
	for _, goos := range []string{"linux", "darwin"} {
		pkgs, err := list(goos)
		if err != nil {
			return nil, 0, err
		}
		for _, p := range pkgs {
			faults = append(faults, check(p)...)
		}
		packages = max(packages, len(pkgs))
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) {
			faults = append(faults, e.Name()+" does not belong at the top level")
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults), packages, nil
}

// list asks the go command for the packages of the module.
func list(goos string) ([]pkg, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list for %s: %w", goos, err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(pkgs) == 0 {
				return nil, errors.New("go list names no package: run this at the root of the module")
			}
			return pkgs, nil
		case err != nil:
			return nil, fmt.Errorf("read go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}

// check returns what is wrong with the imports of one package.
func check(p pkg) (faults []string) {
	self := strings.TrimPrefix(p.ImportPath, module+"/")
	allowed, known := arrows[self]
	if !known {
		return []string{self + " is not in the table of .ci/arrows: say there what it may import"}
	}
	for _, path := range p.Imports {
		to, ours := strings.CutPrefix(path, module+"/")
		switch {
		case ours && slices.Contains(commands, to):
			faults = append(faults, fmt.Sprintf("%s imports the command %s", self, to))
		case ours && !slices.Contains(allowed, to) && !slices.Contains(allowed, "*"):
			faults = append(faults, fmt.Sprintf("%s must not import %s", self, to))
		case self == "api" && !ours && !allowedInAPI(path):
			faults = append(faults, fmt.Sprintf("%s must not import %s: it is the standard library without net/http, and go-units", self, path))
		}
	}
	for _, path := range append(slices.Clone(p.TestImports), p.XTestImports...) {
		to, ours := strings.CutPrefix(path, module+"/")
		if ours && to != self && slices.Contains(commands, to) {
			faults = append(faults, fmt.Sprintf("a test of %s imports the command %s", self, to))
		}
	}
	return faults
}

// allowedInAPI keeps the nouns free of everything that does something.
func allowedInAPI(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return path == "github.com/docker/go-units" || (!strings.Contains(first, ".") && path != "net/http")
}
