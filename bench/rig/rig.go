// Package rig is what the benchmarks measure on: a private local cloud with Slipway in it, and one app whose deployments
// do as little as a deployment can.
package rig

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/store"
)

// App and Environment name what is deployed.
const (
	App         = "noop"
	Environment = "production"
)

// Two versions of slipway.yaml that have nothing done.
const (
	Scripts   = "scripts: {test: 'true', build: 'true', deploy: 'true', rollback: 'true'}\n" // every script runs, and does nothing
	NoScripts = "scripts: {test: '', build: ''}\n"                                           // there are none
)

// Rig is a running cloud, stacks and app included.
type Rig struct {
	Cloud *local.Cloud
	Out   local.Outputs
	Store *store.Store
	s3    *s3.Client
	sfn   *sfn.Client
	app   *deploy.App
	site  *http.Server
}

// New starts all of it, from root's builds. Close ends it.
func New(ctx context.Context, root string) (_ *Rig, err error) {
	r := &Rig{}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.Cloud, err = local.Start(ctx, local.Options{Root: root}); err != nil {
		return nil, err
	}
	if r.Out, err = r.Cloud.Deploy(ctx); err != nil {
		return nil, err
	}
	cfg := r.Cloud.Config()
	r.Store = store.New(dynamodb.NewFromConfig(cfg), r.Out.DeploymentsTable)
	r.s3, r.sfn = s3.NewFromConfig(cfg), sfn.NewFromConfig(cfg)
	url, err := r.serve()
	if err != nil {
		return nil, err
	}
	r.app = &deploy.App{Name: App, Environments: map[string]deploy.Settings{
		Environment: {Target: deploy.Target{Type: deploy.TargetScript}, URL: url},
	}}
	if err := r.app.Validate(); err != nil {
		return nil, err
	}
	return r, r.Store.PutApp(ctx, r.app)
}

// Close ends the cloud and the app. It may be called twice.
func (r *Rig) Close() {
	if r.site != nil {
		_ = r.site.Close()
	}
	if r.Cloud != nil {
		_ = r.Cloud.Stop() // a private cloud also ends with this process
	}
}

// serve is the deployed app: it is always healthy.
func (r *Rig) serve() (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	r.site = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })}
	go func() { _ = r.site.Serve(listener) }()
	return "http://" + listener.Addr().String(), nil
}

// Commit uploads a new commit with that slipway.yaml and gives its id and where it lies.
func (r *Rig) Commit(ctx context.Context, config string) (string, *deploy.Bundle, error) {
	bundle, err := pack(config)
	if err != nil {
		return "", nil, err
	}
	id := sha256.Sum256([]byte(rand.Text()))
	sha, sum := hex.EncodeToString(id[:20]), sha256.Sum256(bundle)
	b := &deploy.Bundle{Key: "sources/" + App + "/" + sha + ".tar.gz", SHA256: hex.EncodeToString(sum[:])}
	_, err = r.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &r.Out.Bucket, Key: &b.Key, Body: bytes.NewReader(bundle), Metadata: map[string]string{"sha256": b.SHA256},
	})
	return sha, b, err
}

func pack(text string) ([]byte, error) {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	if err := archive.WriteHeader(&tar.Header{Name: "slipway.yaml", Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
		return nil, err
	}
	if _, err := archive.Write([]byte(text)); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	err := zipped.Close()
	return out.Bytes(), err
}
