package rest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// source is what the comments and constants of some packages say. The document
// takes its words from there, so that they are written once.
type source struct {
	types  map[string]string   // comment of each type
	fields map[string]string   // of each field, by "Type.Field"
	values map[string][]string // of each named string type
	notes  map[string]string   // comment of each such value, by "Type.value"
}

func readSource(t *testing.T, dirs ...string) source {
	t.Helper()
	s := source{map[string]string{}, map[string]string{}, map[string][]string{}, map[string]string{}}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no source in %s: %v", dir, err)
		}
		for _, path := range files {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if decl, ok := d.(*ast.GenDecl); ok {
					s.declaration(decl)
				}
			}
		}
	}
	return s
}

func (s source) declaration(decl *ast.GenDecl) {
	for _, one := range decl.Specs {
		switch spec := one.(type) {
		case *ast.TypeSpec:
			s.types[spec.Name.Name] = words(spec.Doc, decl.Doc)
			if fields, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					for _, name := range f.Names {
						s.fields[spec.Name.Name+"."+name.Name] = words(f.Doc, f.Comment)
					}
				}
			}
		case *ast.ValueSpec:
			kind, ok := spec.Type.(*ast.Ident)
			if !ok || len(spec.Values) != 1 {
				continue
			}
			if value, ok := spec.Values[0].(*ast.BasicLit); ok && value.Kind == token.STRING {
				text, _ := strconv.Unquote(value.Value) // it compiles
				s.values[kind.Name] = append(s.values[kind.Name], text)
				s.notes[kind.Name+"."+text] = words(spec.Doc, spec.Comment)
			}
		}
	}
}

// docLink is a name that Go's documentation makes a link of.
var docLink = regexp.MustCompile(`\[(\w+(?:\.\w+)?)\]`)

// words is the text of the first group that is there, as one line.
func words(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if g != nil {
			return docLink.ReplaceAllString(strings.Join(strings.Fields(g.Text()), " "), "$1")
		}
	}
	return ""
}
