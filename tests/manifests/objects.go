package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"google.golang.org/protobuf/encoding/protojson"
	mesh "istio.io/api/mesh/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
)

// checkObject finds what kind of object it is, and has its own schema or types judge it.
func checkObject(definitions definitions, object map[string]any, text []byte) error {
	apiVersion, _ := object["apiVersion"].(string)
	group, _, _ := strings.Cut(apiVersion, "/")
	switch {
	case apiVersion == "" && object["meshConfig"] != nil:
		// Values of the chart istiod.
		return checkMeshOnly(object, "meshConfig")
	case apiVersion == "install.istio.io/v1alpha1" && object["kind"] == "IstioOperator":
		spec, _ := object["spec"].(map[string]any)
		return errors.Join(onlyKeys(object, "apiVersion", "kind", "metadata", "spec"), checkMeshOnly(spec, "meshConfig"))
	case strings.HasSuffix(group, ".istio.io"):
		return definitions.check(object)
	default:
		return checkTyped(text)
	}
}

// checkMeshOnly checks an object with nothing but the mesh configuration in it: for anything else there is no
// schema here.
func checkMeshOnly(object map[string]any, key string) error {
	text, err := json.Marshal(object[key])
	if err != nil {
		return err
	}
	// Unlike istioctl it refuses a key that it does not know.
	return errors.Join(onlyKeys(object, key), protojson.Unmarshal(text, &mesh.MeshConfig{}))
}

func onlyKeys(object map[string]any, known ...string) error {
	for key := range object {
		if !slices.Contains(known, key) {
			return fmt.Errorf("%q cannot be checked here", key)
		}
	}
	return nil
}

// checkTyped reads an object of Kubernetes' own or of Prometheus' operator into its Go type.
func checkTyped(text []byte) error {
	types := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(types), monitoring.AddToScheme(types)); err != nil {
		return err
	}
	strict := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, types, types, serializer.SerializerOptions{Strict: true})
	_, _, err := strict.Decode(text, nil, nil)
	return err
}
