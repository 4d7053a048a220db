package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"text/template"
)

// parseTemplate reads the value of --format. As for docker, \t and \n are a tab
// and a new line.
func parseTemplate(text string) (*template.Template, error) {
	functions := template.FuncMap{
		"json": func(v any) (string, error) {
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			err := enc.Encode(v)
			return strings.TrimSpace(b.String()), err
		},
		"join":  func(list []string, by string) string { return strings.Join(list, by) },
		"upper": func(v any) string { return strings.ToUpper(fmt.Sprint(v)) },
		"lower": func(v any) string { return strings.ToLower(fmt.Sprint(v)) },
	}
	text = templateText(text)
	t, err := template.New("").Option("missingkey=zero").Funcs(functions).Parse(text)
	if err != nil {
		return nil, plainTemplate(err, nil)
	}
	return t, nil
}

// checkTemplate refuses a text that is no template, and fields that T has not;
// any is not known before.
func checkTemplate[T any](text string) error {
	t, err := parseTemplate(text)
	if err != nil {
		return err
	}
	if reflect.TypeFor[T]().Kind() == reflect.Interface {
		return nil
	}
	var sample T
	fillPointers(reflect.ValueOf(&sample).Elem())
	if err := t.Execute(io.Discard, sample); err != nil && strings.Contains(err.Error(), noField) {
		return plainTemplate(err, sample)
	}
	return nil
}

// templateText is the template in the value of --format. What docker's "table "
// before it asks for, printTemplate does.
func templateText(format string) string {
	return strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(strings.TrimPrefix(format, tablePrefix))
}

const tablePrefix = "table "

// printTemplate prints a line for each entry of a. For a table the tabs part
// columns, and each has the name of its field above it.
func printTemplate[T any](out io.Writer, format string, a answer[T]) error {
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	columns := &table{}
	for _, e := range a.entries {
		var b bytes.Buffer
		if err := t.Execute(&b, e.value); err != nil {
			return fmt.Errorf("--format: %w", plainTemplate(err, e.value))
		}
		for line := range strings.SplitSeq(b.String(), "\n") {
			if strings.HasPrefix(format, tablePrefix) {
				columns.add(strings.Split(line, "\t")...)
			} else if _, err := fmt.Fprintln(out, cleanLine(line)); err != nil {
				return err
			}
		}
	}
	if strings.HasPrefix(format, tablePrefix) {
		columns.header = strings.Split(templateHeads(templateText(format)), "\t")
	}
	return columns.print(out)
}

// templateHeads puts the last field of each action of a template in its place.
func templateHeads(text string) string {
	return templateAction.ReplaceAllStringFunc(text, func(action string) string {
		fields := templateField.FindAllStringSubmatch(action, -1)
		if len(fields) == 0 {
			return ""
		}
		return strings.ToUpper(fields[len(fields)-1][1])
	})
}

var (
	templateAction = regexp.MustCompile(`{{.*?}}`)
	templateField  = regexp.MustCompile(`\.([A-Za-z]\w*)`)
)

// templatePosition is what package template puts before what is wrong.
var templatePosition = regexp.MustCompile(`^template: [0-9:]+ (executing "" at <.*?>: )?`)

// noField is how package template says that a field is not there.
const noField = "can't evaluate field "

// plainTemplate is an error of package template in words for who wrote the text:
// without positions in a file that is none, and without types of Go. What was to
// be printed is of.
func plainTemplate(err error, of any) error {
	text := err.Error()
	if _, after, ok := strings.Cut(text, noField); ok {
		field, in, _ := strings.Cut(after, " in type ")
		t := reflect.TypeOf(of)
		if t.Kind() != reflect.Struct || t.String() != in {
			return fmt.Errorf("there is no field .%s there", field)
		}
		var names []string
		for _, f := range reflect.VisibleFields(t) {
			names = append(names, "."+f.Name)
		}
		return fmt.Errorf("there is no field .%s; there are %s", field, strings.Join(names, " "))
	}
	return errors.New(templatePosition.ReplaceAllString(text, ""))
}

// fillPointers has the pointers below v point to something, so that fields
// behind them are seen.
func fillPointers(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.CanSet() {
			v.Set(reflect.New(v.Type().Elem()))
			fillPointers(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fillPointers(v.Field(i))
		}
	}
}
