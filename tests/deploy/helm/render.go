// Renders a chart with what Helm itself is made of: Go's text/template and Sprig. `make chart` runs it.
//
//	go run render.go CHART RELEASE NAMESPACE VALUES.yaml…
//
// It knows what our chart uses of Helm: Values, Chart, Release, Files.Get, include, required, toYaml, fromYaml, toJson.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

type files struct{ chart string }

// Get returns a file of the chart, or nothing, as Helm does.
func (f files) Get(name string) string {
	content, err := os.ReadFile(filepath.Join(f.chart, name))
	if err != nil {
		return ""
	}
	return string(content)
}

func read(path string) map[string]interface{} {
	content, err := os.ReadFile(path)
	check(err)
	values := map[string]interface{}{}
	check(yaml.Unmarshal(content, &values))
	return values
}

// merge lays values over defaults: maps key by key, everything else whole.
func merge(under, over map[string]interface{}) map[string]interface{} {
	for key, value := range over {
		below, isMap := under[key].(map[string]interface{})
		above, areMaps := value.(map[string]interface{})
		if isMap && areMaps {
			under[key] = merge(below, above)
		} else {
			under[key] = value
		}
	}
	return under
}

func toYaml(value interface{}) string {
	content, err := yaml.Marshal(value)
	check(err)
	return strings.TrimSuffix(string(content), "\n")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	chart, release, namespace := os.Args[1], os.Args[2], os.Args[3]
	values := read(filepath.Join(chart, "values.yaml"))
	for _, path := range os.Args[4:] {
		values = merge(values, read(path))
	}
	about := read(filepath.Join(chart, "Chart.yaml"))
	data := map[string]interface{}{
		"Values":  values,
		"Release": map[string]interface{}{"Name": release, "Namespace": namespace, "Service": "Helm"},
		"Files":   files{chart},
		"Chart": map[string]interface{}{
			"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"],
		},
	}

	all := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	functions["include"] = func(name string, with interface{}) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, with)
		return out.String(), err
	}
	functions["required"] = func(complaint string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(complaint)
		}
		return value, nil
	}
	functions["toYaml"] = toYaml
	functions["fromYaml"] = func(text string) (map[string]interface{}, error) {
		value := map[string]interface{}{}
		return value, yaml.Unmarshal([]byte(text), &value)
	}
	functions["toJson"] = func(value interface{}) (string, error) {
		content, err := json.Marshal(value)
		return string(content), err
	}
	all.Funcs(functions)

	paths, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	check(err)
	sort.Strings(paths)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		check(err)
		_, err = all.New(filepath.Base(path)).Parse(string(content))
		check(err)
	}
	for _, path := range paths {
		if filepath.Ext(path) != ".yaml" {
			continue
		}
		var out bytes.Buffer
		check(all.ExecuteTemplate(&out, filepath.Base(path), data))
		if text := strings.TrimSpace(out.String()); text != "" {
			fmt.Printf("---\n%s\n", strings.TrimPrefix(text, "---\n"))
		}
	}
}
