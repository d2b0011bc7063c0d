package remote

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// codeCommit is a repository of CodeCommit in the fetcher's own region, asked as git asks it.
func (f *Fetcher) codeCommit(ctx context.Context, repository string, limits Limits) (server, error) {
	u := &url.URL{Scheme: "https", Host: "git-codecommit." + f.Region + ".amazonaws.com"}
	if strings.HasPrefix(f.Region, "cn-") {
		u.Host += ".cn"
	}
	if f.CodeCommit != "" {
		var err error
		if u, err = url.Parse(f.CodeCommit); err != nil {
			return nil, deploy.Errorf(deploy.Internal, "fetch", "CodeCommit's address: %w", err)
		}
	}
	u.Path = "/v1/repos/" + repository
	c, err := f.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "fetch", "credentials for CodeCommit: %w", err)
	}
	server := newHTTP(u, signed(c, f.Region, u.Host, u.Path, time.Now()), f.dialer(limits))
	server.repository = repository
	return server, nil
}

// signed makes the user and password that CodeCommit takes from git: the access key, with the session's token behind a %, and
// the time followed by a Signature Version 4 over a request whose method is GIT, with no query, no header but host and no body,
// not even the hash of an empty one. Good for 15 minutes. Source: aws/git-remote-codecommit, git_url and sign.
func signed(c aws.Credentials, region, host, path string, now time.Time) credentials {
	stamp := now.UTC().Format("20060102T150405")
	day := stamp[:8]
	request := "GIT\n" + path + "\n\nhost:" + host + "\n\nhost\n"
	scope := day + "/" + region + "/codecommit/aws4_request"
	sum := sha256.Sum256([]byte(request))
	key := []byte("AWS4" + c.SecretAccessKey)
	for _, part := range []string{day, region, "codecommit", "aws4_request"} {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(sum[:])))
	user := c.AccessKeyID
	if c.SessionToken != "" {
		user += "%" + c.SessionToken
	}
	return credentials{user, stamp + "Z" + signature}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
