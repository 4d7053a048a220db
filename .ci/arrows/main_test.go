package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		pkg  string
		imp  []string // of ours without the module, others whole
		test []string
		want string // part of the fault; "" is none
	}{
		"allowed":                   {pkg: "peer", imp: []string{"api", "gossip", "bidding", "runtime"}},
		"standard library":          {pkg: "gossip", imp: []string{"net/http"}},
		"cmd may all":               {pkg: "cmd/orch", imp: []string{"peer", "runtime/process", "api/rest"}},
		"driver in peer":            {pkg: "peer", imp: []string{"runtime/process"}, want: "peer must not import runtime/process"},
		"rest in peer":              {pkg: "peer", imp: []string{"api/rest"}, want: "peer must not import api/rest"},
		"nouns in gossip":           {pkg: "gossip", imp: []string{"api"}, want: "gossip must not import api"},
		"peer in scenarios":         {pkg: "scenarios", imp: []string{"peer"}, want: "scenarios must not import peer"},
		"ours in memnet":            {pkg: "scenarios/memnet", imp: []string{"gossip"}, want: "scenarios/memnet must not import gossip"},
		"a command":                 {pkg: "scenarios/demo", imp: []string{"cmd/orch"}, want: "imports the command cmd/orch"},
		"a command in a test":       {pkg: "scenarios", test: []string{"cmd/orch"}, want: "a test of scenarios imports the command cmd/orch"},
		"its own command in a test": {pkg: "cmd/orch", test: []string{"cmd/orch"}},
		"anything in a test":        {pkg: "gossip", test: []string{"scenarios/memnet", "peer"}},
		"http in api":               {pkg: "api", imp: []string{"net/http"}, want: "api must not import net/http"},
		"a module in api":           {pkg: "api", imp: []string{"!github.com/sirupsen/logrus"}, want: "api must not import github.com/sirupsen/logrus"},
		"go-units in api":           {pkg: "api", imp: []string{"!github.com/docker/go-units"}},
		"unknown package":           {pkg: "util", want: "util is not in the table"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := pkg{ImportPath: module + "/" + tt.pkg}
			for _, i := range tt.imp {
				p.Imports = append(p.Imports, full(i))
			}
			for _, i := range tt.test {
				p.XTestImports = append(p.XTestImports, full(i))
			}
			got := strings.Join(check(p), "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("check(%s importing %v, tests %v) = %q, want %q", tt.pkg, tt.imp, tt.test, got, tt.want)
			}
		})
	}
}

// TestRun runs it over this very module: the table must cover what is there.
func TestRun(t *testing.T) {
	t.Chdir("../..")
	faults, n, err := run()
	if err != nil {
		t.Fatal(err)
	}
	if n < 2 {
		t.Errorf("run saw %d packages, want all", n)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// full is the import path of one of our packages, of the standard library, or,
// after a "!", of another module.
func full(path string) string {
	if rest, ok := strings.CutPrefix(path, "!"); ok {
		return rest
	}
	if _, ours := arrows[path]; ours {
		return module + "/" + path
	}
	return path
}
