package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"

	"github.com/slipway-cd/slipway/internal/retry"
)

// localEnv is where a local cloud leaves its variables, below a repository's root.
const localEnv = ".slipway/local.env"

// place is where the API and the AWS around it are.
type place struct {
	api  *url.URL
	from string // the local environment's file; "" where SLIPWAY_API said it
	aws  aws.Config
}

// find looks for the API: in the environment first, then for a local cloud.
func (p *program) find(ctx context.Context) (*place, error) {
	if text := p.env("SLIPWAY_API"); text != "" {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("the AWS configuration: %w", err)
		}
		cfg.Logger = logging.Nop{} // it would warn of connections on stderr, between the lines that are for the user; errors come back
		return newPlace(text, "", impatient(cfg))
	}
	path, vars, err := p.findLocal()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"SLIPWAY_API", "AWS_ENDPOINT_URL"} {
		if err := checkLocal(name, vars[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if own := p.ownCredentials(vars); own != "" {
		fmt.Fprintf(p.err, "slipway: note: this is the local cloud of %s; %s doesn't count, because SLIPWAY_API is not set\n", path, own)
	}
	endpoint := vars["AWS_ENDPOINT_URL"]
	cfg := aws.Config{Region: vars["AWS_REGION"], BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(vars["AWS_ACCESS_KEY_ID"], vars["AWS_SECRET_ACCESS_KEY"], vars["AWS_SESSION_TOKEN"])}
	return newPlace(vars["SLIPWAY_API"], path, cfg)
}

// checkLocal checks an address of a local.env, which may come with any repository: without one, or with another's, requests would leave
// this machine.
func checkLocal(name, text string) error {
	switch {
	case text == "":
		return fmt.Errorf("%s is missing; want a URL of this machine, as http://127.0.0.1:4566. make up writes this file", name)
	case !loopback(text):
		return fmt.Errorf("%s is %q; want a URL of this machine, as http://127.0.0.1:4566: such a file may come with any repository. "+
			"Another API is named by SLIPWAY_API in the environment", name, text)
	}
	return nil
}

// ownCredentials names where the caller has credentials that a local cloud's take the place of; "" where there are none.
func (p *program) ownCredentials(local map[string]string) string {
	for _, name := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		if text := p.env(name); text != "" && text != local[name] {
			return name
		}
	}
	home := cmp.Or(p.env("HOME"), p.env("USERPROFILE"))
	for _, path := range []string{
		cmp.Or(p.env("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, ".aws", "credentials")),
		cmp.Or(p.env("AWS_CONFIG_FILE"), filepath.Join(home, ".aws", "config")),
	} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			return path
		}
	}
	return ""
}

// loopback reports whether a URL's host is this machine.
func loopback(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func newPlace(text, from string, cfg aws.Config) (*place, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return nil, fmt.Errorf("SLIPWAY_API is %q; want the URL that the stack gives as its output Api", text)
	}
	if region := regionOf(u.Hostname()); region != "" {
		cfg.Region = region
	}
	if cfg.Region == "" {
		return nil, errors.New("no AWS region is known; set AWS_REGION")
	}
	retry.Use(&cfg)
	cfg.Logger = logging.Nop{}
	return &place{api: u, from: from, aws: cfg}, nil
}

// apiHost is API Gateway's own host name, with its region: https://ID.execute-api.REGION.amazonaws.com, and those of VPC endpoints.
var apiHost = regexp.MustCompile(`(?i)(?:^|\.)execute-api(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$`)

// regionOf returns the region in the name of an API's host; "" where it has none. What is signed for another one is refused there.
func regionOf(host string) string {
	if m := apiHost.FindStringSubmatch(host); m != nil {
		return strings.ToLower(m[1])
	}
	return ""
}

// metadataPatience is how long one request to an EC2 instance's metadata service may take. It is on the machine itself and answers in
// milliseconds; where there is none, a connection to its address may hang.
const metadataPatience = 400 * time.Millisecond

// impatient has the configuration wait no longer than that where credentials are looked for at the instance last of all.
func impatient(cfg aws.Config) aws.Config {
	if !aws.IsCredentialsProvider(cfg.Credentials, (*ec2rolecreds.Provider)(nil)) {
		return cfg
	}
	client := imds.NewFromConfig(cfg, func(o *imds.Options) {
		o.HTTPClient = &http.Client{Timeout: metadataPatience, Transport: &http.Transport{}}
		o.Retryer = aws.NopRetryer{}
	})
	cfg.Credentials = aws.NewCredentialsCache(ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client }))
	return cfg
}

// errNoCredentials says what to set.
var errNoCredentials = errors.New("no AWS credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with aws sso login or aws configure")

// credentialsError words why there are no credentials. That this is no EC2 instance is not worth a word.
func credentialsError(ctx context.Context, cfg aws.Config, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil || aws.IsCredentialsProvider(cfg.Credentials, (*ec2rolecreds.Provider)(nil)):
		return errNoCredentials
	}
	return fmt.Errorf("%w: %w", errNoCredentials, err)
}

// findLocal reads the first local.env on the way up from here, else the one of the repository that this program was
// built in.
func (p *program) findLocal() (string, map[string]string, error) {
	for dir := p.dir; ; dir = filepath.Dir(dir) {
		if path, vars, err := readLocal(dir); path != "" {
			return path, vars, err
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if p.executable != "" {
		if path, vars, err := readLocal(filepath.Dir(filepath.Dir(p.executable))); path != "" {
			return path, vars, err
		}
	}
	return "", nil, fmt.Errorf("SLIPWAY_API is not set, and there is no %s here or above: run make up, or set SLIPWAY_API to the stack's output Api", localEnv)
}

// readLocal reads a folder's local.env; the path is "" where there is none. It decides where requests go, and may lie in a folder that
// others can write to, so it has to be the caller's own.
func readLocal(dir string) (string, map[string]string, error) {
	path := filepath.Join(dir, localEnv)
	f, info, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	} else if err != nil {
		return path, nil, err
	}
	defer f.Close()
	if err := checkOwner(info); err != nil {
		return path, nil, fmt.Errorf("%s: %w; want a file of your own that only you may write, as make up makes it, or SLIPWAY_API in the environment", path, err)
	}
	text, err := readAtMost(f, path, maxAppFile)
	if err != nil {
		return path, nil, err
	}
	vars, err := parseEnv(bytes.NewReader(text))
	if err != nil {
		return path, nil, fmt.Errorf("%s: %w", path, err)
	}
	return path, vars, nil
}

var assignment = regexp.MustCompile(`^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

// parseEnv reads lines that a shell could source, without being one: names and plain or quoted values, no expansion.
func parseEnv(r io.Reader) (map[string]string, error) {
	vars := map[string]string{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := assignment.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d is not export NAME=value", n)
		}
		value, ok := unquote(m[2])
		if !ok {
			return nil, fmt.Errorf("line %d: the value of %s is more than a plain or quoted text", n, m[1])
		}
		vars[m[1]] = value
	}
	return vars, lines.Err()
}

// unquote takes off a shell's quotes: 'text', where '\” stands for a quote, or "text".
func unquote(text string) (string, bool) {
	quoted := func(q string) bool { return len(text) >= 2 && strings.HasPrefix(text, q) && strings.HasSuffix(text, q) }
	switch {
	case quoted(`'`):
		inner := strings.ReplaceAll(text[1:len(text)-1], `'\''`, "\x00")
		return strings.ReplaceAll(inner, "\x00", `'`), !strings.Contains(inner, `'`)
	case quoted(`"`):
		inner := text[1 : len(text)-1]
		return inner, !strings.ContainsAny(inner, "\"$`\\")
	}
	return text, !strings.ContainsAny(text, " \t\n\"'\\$`&;|<>()*?[]{}!")
}
