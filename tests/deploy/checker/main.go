// Command checker validates deploy files with the libraries that will read them: kustomize, the compose loader, and the API types of
// KEDA and of the Prometheus operator. It is built by the tests and installed nowhere.
//
//	checker kustomize DIR    print what `kustomize build DIR` prints
//	checker compose FILE     print the resolved compose project as JSON; interpolation, schema and consistency are checked
//	checker rules FILE       check a Prometheus rule file, its expressions included
//	checker promql           read expressions from stdin, one a line, and parse each
//	checker custom           read YAML documents of custom resources from stdin and decode each strictly into its Go type
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	yamlstream "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// The kinds the deploy files use, and what each is decoded into.
var kinds = map[string]func() any{
	"keda.sh/v1alpha1/ScaledObject":           func() any { return &keda.ScaledObject{} },
	"keda.sh/v1alpha1/TriggerAuthentication":  func() any { return &keda.TriggerAuthentication{} },
	"monitoring.coreos.com/v1/PodMonitor":     func() any { return &monitoring.PodMonitor{} },
	"monitoring.coreos.com/v1/PrometheusRule": func() any { return &monitoring.PrometheusRule{} },
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "kustomize":
		return kustomize(arguments[1])
	case len(arguments) == 2 && arguments[0] == "compose":
		return compose(arguments[1])
	case len(arguments) == 2 && arguments[0] == "rules":
		return rules(arguments[1])
	case len(arguments) == 1 && arguments[0] == "promql":
		return promql(os.Stdin)
	case len(arguments) == 1 && arguments[0] == "custom":
		return custom(os.Stdin)
	}
	return errors.New("usage: checker kustomize DIR | compose FILE | rules FILE | promql < LINES | custom < YAML")
}

func kustomize(dir string) error {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return err
	}
	text, err := resources.AsYaml()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

func compose(file string) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithOsEnv, cli.WithResolvedPaths(true), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

func rules(file string) error {
	_, found := rulefmt.ParseFile(file, false)
	return errors.Join(found...)
}

func promql(in io.Reader) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if _, err := parser.ParseExpr(lines.Text()); err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
	}
	return lines.Err()
}

func custom(in io.Reader) error {
	documents := yamlstream.NewYAMLReader(bufio.NewReader(in))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := decode(document); err != nil {
			return err
		}
	}
}

func decode(document []byte) error {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil {
		return err
	}
	name := head.APIVersion + "/" + head.Kind
	target, known := kinds[name]
	if !known {
		return fmt.Errorf("%s is no kind this checker knows", name)
	}
	object := target()
	if err := yaml.UnmarshalStrict(document, object); err != nil {
		return fmt.Errorf("%s %s: %w", head.Kind, head.Metadata.Name, err)
	}
	if scaled, is := object.(*keda.ScaledObject); is {
		if err := checkScaledObject(scaled); err != nil {
			return fmt.Errorf("ScaledObject %s: %w", head.Metadata.Name, err)
		}
	}
	fmt.Println(head.Kind, head.Metadata.Name)
	return nil
}

// checkScaledObject asks KEDA's own admission checks, which the types alone do not express.
func checkScaledObject(scaled *keda.ScaledObject) error {
	if err := keda.CheckReplicaCountBoundsAreValid(scaled); err != nil {
		return err
	}
	if err := keda.CheckFallbackValid(scaled); err != nil {
		return err
	}
	return keda.ValidateTriggers(scaled.Spec.Triggers)
}
