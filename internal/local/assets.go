package local

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// placeholder begins the name of a function's code in a template; the function's folder and .zip follow.
const placeholder = "ASSET-"

// assetsBucket takes the functions' code and the templates. The templates in infra/local name it.
const assetsBucket = "slipway-assets"

// pathStyle keeps the bucket out of the host's name, which no resolver would know.
func pathStyle(o *s3.Options) { o.UsePathStyle = true }

// upload brings each function's code to the bucket, and returns what replaces the placeholders of the templates in infra/local:
// ASSET-name.zip (a function's code), "ARCHITECTURE" and "DEFINITION" (of the state machine).
func (c *Cloud) upload(ctx context.Context, dir string) (*strings.Replacer, error) {
	definition, err := os.ReadFile(filepath.Join(c.root, "statemachine.asl.json"))
	if err != nil {
		return nil, err
	}
	quoted, _ := json.Marshal(string(definition)) // a string can be written
	fill := []string{`"ARCHITECTURE"`, `"` + arch() + `"`, `"DEFINITION"`, string(quoted)}

	builds, err := filepath.Glob(filepath.Join(c.root, "bin", "functions", "*", bootstrap))
	if err != nil {
		return nil, err
	}
	if len(builds) == 0 {
		return nil, errors.New("bin/functions is empty; build them with: make functions shop")
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), c.makeBucket(ctx)); err != nil {
		return nil, err
	}

	keys, errs := make([]string, len(builds)), make([]error, len(builds))
	var wg sync.WaitGroup
	for i, build := range builds {
		wg.Go(func() { keys[i], errs[i] = c.uploadBuild(ctx, build, dir) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	for i, build := range builds {
		fill = append(fill, placeholder+filepath.Base(filepath.Dir(build))+".zip", keys[i])
	}
	return strings.NewReplacer(fill...), dropOthers(dir, keys)
}

func (c *Cloud) makeBucket(ctx context.Context) error {
	_, err := s3.NewFromConfig(c.Config(), pathStyle).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(assetsBucket)})
	var ours *types.BucketAlreadyOwnedByYou
	if errors.As(err, &ours) {
		return nil
	}
	return err
}

// bootstrap is the file that provided.al2023 runs.
const bootstrap = "bootstrap"

// uploadBuild uploads one function's zip, and returns its key. A zip of the same build is taken from dir: to pack takes longer than
// all the rest.
func (c *Cloud) uploadBuild(ctx context.Context, build, dir string) (key string, err error) {
	binary, err := os.ReadFile(build)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(binary)
	key = hex.EncodeToString(sum[:]) + ".zip"

	packed, err := os.ReadFile(filepath.Join(dir, key))
	if err != nil {
		if packed, err = pack(binary); err != nil {
			return "", fmt.Errorf("pack %s: %w", build, err)
		}
		if err := writeWhole(filepath.Join(dir, key), packed); err != nil {
			return "", err
		}
	}

	_, err = s3.NewFromConfig(c.Config(), pathStyle).PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(assetsBucket),
		Key:    aws.String(key),
		Body:   bytes.NewReader(packed),
	})
	return key, err
}

// pack makes a zip of a function's binary. The same binary makes the same zip.
func pack(binary []byte) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return flate.NewWriter(to, flate.BestSpeed) })

	header := &zip.FileHeader{Name: bootstrap, Method: zip.Deflate}
	header.SetMode(0o755)
	file, err := w.CreateHeader(header)
	if err != nil {
		return nil, err
	}
	if _, err := file.Write(binary); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

// writeWhole writes a file that no reader sees half.
func writeWhole(path string, text []byte) error {
	part := path + ".part"
	if err := os.WriteFile(part, text, 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// dropOthers removes the zips of builds that are no more.
func dropOthers(dir string, keys []string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, each := range entries {
		if !slices.Contains(keys, each.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, each.Name())))
		}
	}
	return err
}
