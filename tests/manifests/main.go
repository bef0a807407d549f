// manifests reads YAML as strictly as an API server does: `manifests CRDS PATH...`. CRDS is Istio's file of
// custom resource definitions; a PATH is a file, or a folder that kustomize builds. The objects go to standard
// output, as JSON and one a line, what is wrong with them to standard error.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	documents "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: manifests CRDS PATH...")
		os.Exit(2)
	}
	definitions, err := readDefinitions(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(2)
	}
	code := 0
	for _, path := range os.Args[2:] {
		if err := checkPath(definitions, path); err != nil {
			fmt.Fprintln(os.Stderr, under(path, err))
			code = 1
		}
	}
	os.Exit(code)
}

func checkPath(definitions definitions, path string) error {
	text, err := read(path)
	if err != nil {
		return err
	}
	reader := documents.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var found []error
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return errors.Join(found...)
		}
		if err != nil {
			return err
		}
		found = append(found, checkDocument(definitions, document))
	}
}

// read gives the text of a file, or what kustomize makes of a folder.
func read(path string) ([]byte, error) {
	status, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !status.IsDir() {
		return os.ReadFile(path)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return nil, err
	}
	return built.AsYaml()
}

func checkDocument(definitions definitions, document []byte) error {
	// Strict: a key that is there twice is an error.
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	var object map[string]any
	// Kubernetes' reader, for which 1 is an integer, as the rules in CEL want it.
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		return err
	}
	fmt.Println(string(text))
	if err := checkObject(definitions, object, text); err != nil {
		return under(fmt.Sprint(object["kind"]), err)
	}
	return nil
}

// under says of each line of an error where it was found.
func under(place string, err error) error {
	return errors.New(place + ": " + strings.ReplaceAll(err.Error(), "\n", "\n"+place+": "))
}
