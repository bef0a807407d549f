package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// definitions are the served versions of custom resources, by "group/version/kind".
type definitions map[string]*apiextensions.JSONSchemaProps

func readDefinitions(path string) (definitions, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := definitions{}
	for _, document := range strings.Split(string(text), "\n---\n") {
		var definition v1.CustomResourceDefinition
		if err := yaml.Unmarshal([]byte(document), &definition); err != nil {
			return nil, err
		}
		for _, version := range definition.Spec.Versions {
			if !version.Served {
				continue
			}
			var props apiextensions.JSONSchemaProps
			if err := v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &props, nil); err != nil {
				return nil, err
			}
			found[definition.Spec.Group+"/"+version.Name+"/"+definition.Spec.Names.Kind] = &props
		}
	}
	return found, nil
}

// check does what an API server does with a custom resource that a person applies: unknown fields, the
// OpenAPI schema, lists that are sets or maps, and the rules in CEL.
func (known definitions) check(object map[string]any) error {
	props, served := known[fmt.Sprintf("%v/%v", object["apiVersion"], object["kind"])]
	if !served {
		return fmt.Errorf("%v is not served", object["apiVersion"])
	}
	structural, err := schema.NewStructural(props)
	if err != nil {
		return err
	}
	validator, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		return err
	}
	found := validation.ValidateCustomResource(nil, object, validator)
	found = append(found, listtype.ValidateListSetsAndMaps(nil, structural, object)...)
	if len(found) == 0 {
		// Rules may rely on what the schema says.
		rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
		broken, _ := rules.Validate(context.Background(), nil, structural, object, nil, celconfig.RuntimeCELCostBudget)
		found = append(found, broken...)
	}
	return errors.Join(unknownFields(object, structural), found.ToAggregate())
}

// unknownFields tells of the fields that an API server would drop. It drops them here, too.
func unknownFields(object map[string]any, structural *schema.Structural) error {
	options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	var found field.ErrorList
	for _, path := range pruning.PruneWithOptions(object, structural, true, options) {
		found = append(found, field.Invalid(field.NewPath(path), "", "unknown field"))
	}
	return found.ToAggregate()
}
