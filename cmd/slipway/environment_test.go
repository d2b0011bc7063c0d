package main

import (
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUnquote(t *testing.T) {
	for text, want := range map[string]string{
		`plain`: "plain", `http://127.0.0.1:4566`: "http://127.0.0.1:4566", `'a b'`: "a b", `"a b"`: "a b", `''`: "", ``: "",
		`'it'\''s'`: "it's", `'$(x)'`: "$(x)",
	} {
		if got, ok := unquote(text); !ok || got != want {
			t.Errorf("%s: %q %v, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"$HOME", "`id`", `"$HOME"`, `"a\b"`, "a b", "a;b", `'a'b'`, `"a"b"`, `'a`, `a"`, `a>b`} {
		if got, ok := unquote(text); ok {
			t.Errorf("%s passes as %q", text, got)
		}
	}
}

func FuzzParseEnv(f *testing.F) {
	f.Add("export A=b\n# c\n\nB='it'\\''s'\n")
	f.Add("export A=$(b)")
	f.Fuzz(func(t *testing.T, text string) {
		vars, err := parseEnv(strings.NewReader(text))
		if (vars == nil) != (err != nil) && err != nil {
			t.Errorf("%v with %v", vars, err)
		}
		for name := range vars {
			if !assignment.MatchString(name + "=") {
				t.Errorf("name %q", name)
			}
		}
	})
}

// TestLocalBesideProgram finds the cloud of the repository whose bin folder the program is in.
func TestLocalBesideProgram(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, ".slipway"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, localEnv)
	if err := os.WriteFile(path, []byte("export SLIPWAY_API=http://127.0.0.1:1/a/\nexport AWS_ENDPOINT_URL=http://127.0.0.1:1\nexport AWS_REGION=eu-west-1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &program{env: func(string) string { return "" }, dir: elsewhere, executable: filepath.Join(root, "bin", "slipway")}
	at, err := p.find(t.Context())
	if err != nil || at.from != path || at.api.String() != "http://127.0.0.1:1/a" || at.aws.Region != "eu-west-1" {
		t.Errorf("%+v, %v", at, err)
	}
}

// TestOwnCredentialsAreNamed: where a local cloud's credentials take the place of the caller's own, wherever those are, a note says so.
func TestOwnCredentialsAreNamed(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"credentials", "config"} {
		writeFile(t, filepath.Join(home, name, ".aws", name), "[default]\n")
	}
	writeFile(t, filepath.Join(home, "empty", ".aws", "credentials"), "")
	writeFile(t, filepath.Join(home, "mine"), "[default]\n")

	local := map[string]string{"AWS_ACCESS_KEY_ID": "local"}
	for _, c := range []struct{ name, value, want string }{
		{"AWS_PROFILE", "work", "AWS_PROFILE"},
		{"AWS_DEFAULT_PROFILE", "work", "AWS_DEFAULT_PROFILE"},
		{"AWS_ACCESS_KEY_ID", "AKIA", "AWS_ACCESS_KEY_ID"},
		{"AWS_ACCESS_KEY_ID", "local", ""},
		{"AWS_WEB_IDENTITY_TOKEN_FILE", "/token", "AWS_WEB_IDENTITY_TOKEN_FILE"},
		{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1", "AWS_CONTAINER_CREDENTIALS_FULL_URI"},
		{"AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, "mine"), filepath.Join(home, "mine")},
		{"AWS_SHARED_CREDENTIALS_FILE", os.DevNull, ""},
		{"HOME", filepath.Join(home, "credentials"), filepath.Join(home, "credentials", ".aws", "credentials")},
		{"HOME", filepath.Join(home, "config"), filepath.Join(home, "config", ".aws", "config")},
		{"HOME", filepath.Join(home, "empty"), ""},
		{"HOME", home, ""},
	} {
		p := &program{env: func(name string) string {
			return map[string]string{c.name: c.value}[name]
		}, dir: home}
		if got := p.ownCredentials(local); got != c.want {
			t.Errorf("%s=%s: %q, want %q", c.name, c.value, got, c.want)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRegionOfHost: the API's host names the region that requests are signed for, whatever the profile's is.
func TestRegionOfHost(t *testing.T) {
	credentialsInEnv(t)
	for host, want := range map[string]string{
		"https://abc123.execute-api.eu-west-1.amazonaws.com/prod":                        "eu-west-1",
		"https://ABC123.Execute-API.Eu-West-1.amazonaws.com/prod":                        "eu-west-1",
		"https://abc123.execute-api.cn-north-1.amazonaws.com.cn/prod":                    "cn-north-1",
		"https://abc123.execute-api.us-gov-west-1.amazonaws.com/prod":                    "us-gov-west-1",
		"https://abc123-vpce-0a1b.execute-api.ap-south-1.amazonaws.com/prod":             "ap-south-1",
		"https://vpce-0a1b-c2d3.execute-api.ap-south-1.vpce.amazonaws.com/prod":          "ap-south-1",
		"https://abc123.execute-api.eu-west-1.api.aws/prod":                              "eu-west-1",
		"https://abc123.execute-api-fips.us-east-2.amazonaws.com/prod":                   "us-east-2",
		"https://slipway.example.com":                                                    "us-east-1",
		"https://abc123.execute-api.eu-west-1.amazonaws.com.evil.test/prod":              "us-east-1",
		"http://abc123.execute-api.localhost:4566/prod":                                  "us-east-1",
		"http://127.0.0.1:4566/_aws/execute-api/abc.execute-api.eu-west-1.amazonaws.com": "us-east-1",
	} {
		p := &program{env: func(string) string { return host }, dir: t.TempDir(), now: time.Now}
		c, err := p.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", host+"/v1/apps", nil)
		if err := c.signed(t.Context(), r, nil); err != nil || !strings.Contains(r.Header.Get("Authorization"), "/"+want+"/execute-api/") {
			t.Errorf("%s: signed for %s, want %s; %v", host, r.Header.Get("Authorization"), want, err)
		}
	}
}

// TestRegionOfHostAlone: with such a host no region has to be configured.
func TestRegionOfHostAlone(t *testing.T) {
	credentialsInEnv(t)
	t.Setenv("AWS_REGION", "")
	p := &program{env: func(string) string { return "https://abc123.execute-api.eu-west-1.amazonaws.com/prod" }, dir: t.TempDir(), now: time.Now}
	if at, err := p.find(t.Context()); err != nil || at.aws.Region != "eu-west-1" {
		t.Errorf("%+v, %v", at, err)
	}
}

// TestNoCredentials says at once what to set, and no word of EC2's metadata, which hangs here.
func TestNoCredentials(t *testing.T) {
	metadata, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer metadata.Close()
	for name, value := range map[string]string{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://" + metadata.Addr().String(), "AWS_EC2_METADATA_DISABLED": ""} {
		t.Setenv(name, value)
	}

	s := newSite(t)
	p, _, stderr := outside(s, nil)
	p.poll = time.Second
	begin := time.Now()
	code := p.run(t.Context(), []string{"app", "list"})
	if took := time.Since(begin); code != exitFailed || took > 2*time.Second {
		t.Errorf("exit %d after %s", code, took)
	}
	if says := stderr.String(); !strings.Contains(says, "set AWS_PROFILE, or AWS_ACCESS_KEY_ID") || strings.Contains(says, "IMDS") || strings.Count(says, "\n") != 1 {
		t.Errorf("it says %s", says)
	}
}
