package config_test

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/slipway-cd/slipway/internal/config"
	"github.com/slipway-cd/slipway/internal/deploy"
)

func seed(f *testing.F, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		if strings.HasSuffix(file.Name, ".yaml") {
			f.Add(file.Data)
		}
	}
}

// Whatever the bytes, Parse gives a config that is valid or an Invalid error that names a field.
func FuzzParse(f *testing.F) {
	seed(f, "testdata/good.txtar")
	seed(f, "testdata/bad.txtar")
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data, "staging")
		if err != nil {
			checkError(t, err)
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%q: parsed, and yet %v", data, err)
		}
	})
}

// The same for ParseApp.
func FuzzParseApp(f *testing.F) {
	seed(f, "testdata/app.txtar")
	f.Fuzz(func(t *testing.T, data []byte) {
		app, err := config.ParseApp(data)
		if err != nil {
			checkError(t, err)
			return
		}
		if err := app.Validate(); err != nil {
			t.Errorf("%q: parsed, and yet %v", data, err)
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	if deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) == "" || len(err.Error()) > 2000 {
		t.Errorf("kind %s, field %q, %d bytes: %v", deploy.KindOf(err), deploy.FieldOf(err), len(err.Error()), err)
	}
}
