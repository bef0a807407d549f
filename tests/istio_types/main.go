// Prints the keys of Istio's types that the checker reads, by message, from the Go module istio.io/api:
// "make istio-types" writes them to src/bin/meshspan/istio_types.json.
package main

import (
	"encoding/json"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	extensions "istio.io/api/extensions/v1alpha1"
	mesh "istio.io/api/mesh/v1alpha1"
	telemetry "istio.io/api/telemetry/v1alpha1"
)

var roots = []proto.Message{
	&extensions.TrafficExtension{}, &extensions.WasmPlugin{}, &mesh.MeshConfig{}, &telemetry.Telemetry{},
}

// wellKnown are the messages that JSON writes as something other than an object of their fields.
var wellKnown = map[protoreflect.FullName]string{
	"google.protobuf.Struct":      "any",
	"google.protobuf.Value":       "any",
	"google.protobuf.Any":         "any",
	"google.protobuf.Duration":    "duration",
	"google.protobuf.Timestamp":   "timestamp",
	"google.protobuf.BoolValue":   "bool",
	"google.protobuf.DoubleValue": "double",
	"google.protobuf.FloatValue":  "float",
	"google.protobuf.Int32Value":  "int32",
	"google.protobuf.Int64Value":  "int64",
	"google.protobuf.UInt32Value": "uint32",
	"google.protobuf.UInt64Value": "uint64",
	"google.protobuf.StringValue": "string",
}

type table struct {
	Messages map[string]map[string]string `json:"messages"`
	Enums    map[string][]string          `json:"enums"`
}

func (t *table) message(message protoreflect.MessageDescriptor) string {
	if kind, known := wellKnown[message.FullName()]; known {
		return kind
	}
	name := string(message.FullName())
	if _, seen := t.Messages[name]; seen {
		return name
	}
	keys := map[string]string{}
	t.Messages[name] = keys
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		keys[field.JSONName()] = t.field(field)
	}
	return name
}

func (t *table) field(field protoreflect.FieldDescriptor) string {
	if field.IsMap() {
		return "map " + t.field(field.MapValue())
	}
	kind := t.kind(field)
	if field.IsList() {
		return "list " + kind
	}
	return kind
}

func (t *table) kind(field protoreflect.FieldDescriptor) string {
	if field.Message() != nil {
		return t.message(field.Message())
	}
	if field.Enum() == nil {
		return field.Kind().String()
	}
	name := string(field.Enum().FullName())
	values := field.Enum().Values()
	names := make([]string, values.Len())
	for i := range values.Len() {
		names[i] = string(values.Get(i).Name())
	}
	t.Enums[name] = names
	return name
}

func main() {
	t := table{Messages: map[string]map[string]string{}, Enums: map[string][]string{}}
	for _, root := range roots {
		t.message(root.ProtoReflect().Descriptor())
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(t); err != nil {
		panic(err)
	}
}
