package local_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/local"
)

var pin = regexp.MustCompile(`(?m)^([A-Za-z0-9._-]+)==([^ ;\\\n]+)`)

// forge writes for each package that a requirement file pins a file of the same name and version that holds
// something else.
func forge(t *testing.T, requirements, suffix string) (dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("emulator", requirements))
	pins := pin.FindAllStringSubmatch(string(text), -1)
	if err != nil || len(pins) == 0 {
		t.Fatalf("%s pins nothing: %v", requirements, err)
	}

	dir = t.TempDir()
	for _, match := range pins {
		name := strings.NewReplacer("-", "_", ".", "_").Replace(match[1])
		info := name + "-" + match[2] + ".dist-info/"
		wheel := zipped(t, map[string]string{
			info + "METADATA": "Metadata-Version: 2.1\nName: " + match[1] + "\nVersion: " + match[2] + "\n",
			info + "WHEEL":    "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
			info + "RECORD":   "",
		})
		if err := os.WriteFile(filepath.Join(dir, name+"-"+match[2]+suffix), wheel, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, text := range files {
		file, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// onlyFrom has pip find packages in a folder, and nowhere else.
func onlyFrom(t *testing.T, dir string) {
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", dir)
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
}

// TestInstallRefusesOtherFiles: registries serve other files under the pinned names and versions. None is
// installed.
func TestInstallRefusesOtherFiles(t *testing.T) {
	onlyFrom(t, forge(t, "requirements.txt", "-py3-none-any.whl"))
	registry := httptest.NewServer(forgedRegistry(t, "emulator/package-lock.json"))
	t.Cleanup(registry.Close)
	t.Setenv("npm_config_registry", registry.URL)
	t.Setenv("npm_config_cache", t.TempDir())
	t.Setenv("npm_config_userconfig", os.DevNull)
	t.Setenv("npm_config_fetch_retries", "0")

	root := t.TempDir()
	_, err := local.Install(t.Context(), root, nil)
	for _, refusal := range []string{"DO NOT MATCH THE HASHES", "EINTEGRITY"} {
		if err == nil || !strings.Contains(err.Error(), refusal) {
			t.Errorf("%v; want %s", err, refusal)
		}
	}
	for _, forged := range []string{"node/node_modules/*/forged.js", "venv/lib/*/site-packages/botocore*"} {
		if files, _ := filepath.Glob(filepath.Join(root, ".slipway", forged)); len(files) > 0 {
			t.Errorf("%v were installed", files)
		}
	}
}

// TestPipRunsNoSourceDistribution: a source distribution's own code would run while pip installs it.
func TestPipRunsNoSourceDistribution(t *testing.T) {
	onlyFrom(t, forge(t, "uv.txt", ".zip"))
	_, err := local.InstallTool(t.Context(), t.TempDir(), "uv", nil)
	if err == nil || !strings.Contains(err.Error(), "No matching distribution") {
		t.Errorf("a source distribution under the pinned name: %v; want it not even looked at", err)
	}
}

// TestJars: what Maven fetched for DynamoDB Local is what jars.sha256 names, no other file and none less.
func TestJars(t *testing.T) {
	script, err := filepath.Abs("emulator/localstack/jars.py")
	if err != nil {
		t.Fatal(err)
	}
	const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // of "test"
	for name, c := range map[string]struct{ sums, wrong string }{
		"right":    {digest + "  a.jar\n", ""},
		"changed":  {"8" + digest[1:] + "  a.jar\n", "a.jar"},
		"unknown":  {"", "a.jar"},
		"missing":  {digest + "  a.jar\n" + digest + "  b.jar\n", "b.jar"},
		"one more": {digest + "  b.jar\n", "a.jar, b.jar"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			jar := filepath.Join(dir, "jars", "a.jar")
			if err := errors.Join(os.Mkdir(filepath.Dir(jar), 0o755), os.WriteFile(jar, []byte("test"), 0o644),
				os.WriteFile(filepath.Join(dir, "jars.sha256"), []byte(c.sums), 0o644)); err != nil {
				t.Fatal(err)
			}

			cmd := exec.Command("python3", script)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if (err != nil) != (c.wrong != "") || !strings.Contains(string(out), c.wrong) {
				t.Errorf("%v, %s; want it to name %q", err, out, c.wrong)
			}
		})
	}
}

func TestUnknownTool(t *testing.T) {
	const want = `"curl" is no tool; there are checkov, sam, schemathesis, uv`
	if _, err := local.InstallTool(t.Context(), t.TempDir(), "curl", nil); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// forgedRegistry answers as an npm registry with a package of its own for each that the lock file names.
func forgedRegistry(t *testing.T, lock string) http.Handler {
	t.Helper()
	text, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	var locked struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(text, &locked); err != nil {
		t.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("/forged.tgz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(tarball(t)) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		version := locked.Packages["node_modules/"+name].Version
		dist := object{"tarball": "http://" + r.Host + "/forged.tgz"}
		_ = json.NewEncoder(w).Encode(object{"name": name, "dist-tags": object{"latest": version},
			"versions": object{version: object{"name": name, "version": version, "dist": dist}}})
	})
	return mux
}

func tarball(t *testing.T) []byte {
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	files := tar.NewWriter(packed)
	for name, text := range map[string]string{
		"package/package.json": `{"name":"forged","version":"1.0.0"}`,
		"package/forged.js":    "0",
	} {
		if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Error(err)
		}
		fmt.Fprint(files, text)
	}
	if err := files.Close(); err != nil {
		t.Error(err)
	}
	if err := packed.Close(); err != nil {
		t.Error(err)
	}
	return out.Bytes()
}
