// Sbom writes a bill of materials (CycloneDX, JSON) beside each binary that it is given, and validates it
// (make sbom). It holds neither a serial number nor a time: the same binary has the same one.
package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: sbom BINARY...",
			"(CYCLONEDX_GOMOD names the command, CYCLONEDX_SCHEMA the folder of the schemas)")
		os.Exit(2)
	}
	if err := run(os.Getenv("CYCLONEDX_GOMOD"), os.Getenv("CYCLONEDX_SCHEMA"), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(command, schemas string, binaries []string) error {
	schema, err := compile(schemas)
	if err != nil {
		return err
	}
	for _, binary := range binaries {
		text, err := describe(command, binary)
		if err != nil {
			return err
		}
		if err := check(schema, text, binary); err != nil {
			return fmt.Errorf("%s: %w", binary, err)
		}
		if err := os.WriteFile(fileFor(binary), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fileFor returns where a binary's bill of materials is. All that is in a function's folder goes to Lambda,
// so that its own is beside the folder.
func fileFor(binary string) string {
	if filepath.Base(binary) == "bootstrap" {
		binary = filepath.Dir(binary)
	}
	return binary + ".cdx.json"
}

// describe runs cyclonedx-gomod, which reads what the linker wrote into the binary.
func describe(command, binary string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := exec.Command(command, "bin", "-json", "-std", "-noserial", "-notimestamp",
		"-output-version", "1.6", binary)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s bin %s: %w\n%s", command, binary, err, &errs)
	}
	return out.Bytes(), nil
}

// compile reads the schema of CycloneDX 1.6, and the two that it refers to.
func compile(folder string) (*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	for name, file := range map[string]string{
		"bom-1.6.schema.json":  "bom-1.6.schema.json",
		"spdx.schema.json":     "spdx.schema.json",
		"jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			return nil, err
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+name, schema); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
}

// check holds a bill of materials to the schema, and to the modules that the binary itself names.
func check(schema *jsonschema.Schema, text []byte, binary string) error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if err := schema.Validate(document); err != nil {
		return err
	}

	var bom cyclonedx.BOM
	decoder := cyclonedx.NewBOMDecoder(bytes.NewReader(text), cyclonedx.BOMFileFormatJSON)
	if err := decoder.Decode(&bom); err != nil {
		return err
	}
	if bom.Components == nil {
		return errors.New("no components")
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	want, got := []string{"std@" + info.GoVersion}, []string{}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		want = append(want, module.Path+"@"+module.Version)
	}
	for _, c := range *bom.Components {
		got = append(got, c.Name+"@"+c.Version)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return fmt.Errorf("components %s; the binary is linked from %s",
			strings.Join(got, ", "), strings.Join(want, ", "))
	}
	return nil
}
