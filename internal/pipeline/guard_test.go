package pipeline_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/slipway-cd/slipway/internal/local"
)

// TestForeignRequests: the local cloud refuses what a page of another site has a browser send, whether it names itself in Origin or only
// reached this machine by a name of its own, and lets no page read AWS's answers. It takes its own keys only.
func TestForeignRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the local cloud; run without -short")
	}
	keys, err := world.cloud.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if world.cloud.Engine == local.Remote {
		t.Skip("a remote endpoint has its own rules for requests")
	}
	at, err := url.Parse(world.cloud.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	with := func(id, secret string) aws.Credentials {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}
	}
	type header map[string]string
	for name, each := range map[string]struct {
		header header
		keys   aws.Credentials
		status int
	}{
		"its own program":                 {nil, keys, 200},
		"a browser's, typed by hand":      {header{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, keys, 200},
		"a page of this machine":          {header{"Origin": "http://127.0.0.1:" + at.Port(), "Sec-Fetch-Site": "same-origin"}, keys, 200},
		"another site's":                  {header{"Origin": "https://shop.example"}, keys, 403},
		"another site's on this port":     {header{"Origin": "http://127.0.0.1.shop.example:" + at.Port()}, keys, 403},
		"a page of no site":               {header{"Origin": "null"}, keys, 403},
		"an empty origin":                 {header{"Origin": ""}, keys, 403},
		"a file's page":                   {header{"Origin": "file://"}, keys, 403},
		"another site's, without origin":  {header{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, keys, 403},
		"by the name of another site":     {header{"Host": "shop.example:" + at.Port()}, keys, 403},
		"by a name that begins like ours": {header{"Host": "localhost.shop.example"}, keys, 403},
		"by another address":              {header{"Host": "192.168.7.7:" + at.Port()}, keys, 403},
		"another secret":                  {nil, with(keys.AccessKeyID, "test"), 403},
		"an emulator's usual keys":        {nil, with("test", "test"), 403},
		"an account's number":             {nil, with("000000000000", keys.SecretAccessKey), 403},
		"a token that is no signature":    {header{"Authorization": "Bearer x"}, aws.Credentials{}, 0},
		"no keys":                         {nil, aws.Credentials{}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			if (each.keys != keys || each.header["Sec-Fetch-Site"] == "same-origin") && world.cloud.Engine == local.LocalStack {
				return // LocalStack takes any keys, and refuses each origin
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, world.cloud.Endpoint(), strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
			request.Header.Set("Content-Type", "application/x-amz-json-1.0")
			if each.keys.AccessKeyID != "" {
				sum := sha256.Sum256([]byte("{}"))
				if err := v4.NewSigner().SignHTTP(t.Context(), each.keys, request, hex.EncodeToString(sum[:]), "dynamodb", local.Region, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			for name, value := range each.header {
				request.Header.Set(name, value)
				if name == "Host" {
					request.Host = value
				}
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil || (response.StatusCode == 200) != (each.status == 200) {
				t.Errorf("%s: %s, %v; want %d", response.Status, text, err, each.status)
			}
			if each.keys == keys && each.status == 403 && !strings.Contains(string(text), "this machine only") {
				t.Errorf("refused by something else: %s", text)
			}
			for name := range response.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: %s", name, response.Header.Get(name))
				}
			}
		})
	}

	t.Run("the emulator's own operations, a preflight, a WebSocket", func(t *testing.T) {
		for _, line := range []string{
			"GET /_ministack/health HTTP/1.1\r\nHost: " + at.Host + "\r\nOrigin: https://shop.example",
			"GET /_localstack/health HTTP/1.1\r\nHost: shop.example",
			"OPTIONS / HTTP/1.1\r\nHost: " + at.Host + "\r\nOrigin: https://shop.example\r\nAccess-Control-Request-Method: POST",
			"GET / HTTP/1.1\r\nHost: " + at.Host + "\r\nHost: shop.example",
			"GET / HTTP/1.1\r\nHost: " + at.Host + "\r\nOrigin: https://shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
		} {
			if status := raw(t, at.Host, line); status != 403 && status != 400 {
				t.Errorf("%q: %d", line, status)
			}
		}
	})
}

// TestEmulatorsOwnRoutes: MiniStack's own routes show each function's code and change everything, without a signature. A program of this
// machine that does not know the local cloud's keys, as a commit's script, has no use of them.
func TestEmulatorsOwnRoutes(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the local cloud; run without -short")
	}
	if world.cloud.Engine != local.MiniStack {
		t.Skip("MiniStack's alone")
	}
	at, err := url.Parse(world.cloud.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]int{
		"GET /_ministack/health HTTP/1.1\r\nHost: " + at.Host:                               200,
		"GET /_ministack/lambda-code/slipway-api HTTP/1.1\r\nHost: " + at.Host:              403,
		"GET /_ministack/sqs/messages HTTP/1.1\r\nHost: " + at.Host:                         403,
		"GET /_ministack/config HTTP/1.1\r\nAuthorization: Bearer x\r\nHost: " + at.Host:    403,
		"GET /_ministack/x HTTP/1.1\r\nAuthorization: Credential=test/\r\nHost: " + at.Host: 403,
	} {
		if status := raw(t, at.Host, line); status != want {
			t.Errorf("%q: %d, want %d", line, status, want)
		}
	}
}

// raw sends a request as it is and returns the status of the answer.
func raw(t *testing.T, address, head string) int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(conn, "%s\r\n\r\n", head); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
