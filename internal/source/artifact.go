package source

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// MaxArtifact is how many bytes an artifact may hold. Lambda takes less (250 MB unpacked).
const MaxArtifact = 512 << 20

// PutArtifact stores the file that a build made under the path name of its workspace. The key holds the content's digest, so that
// two builds of one commit, at the same time or later, never replace what the other's release names. file must be a regular file;
// where it ends in name, no link on that part of the way may leave the workspace: a build could point one at the function's own
// /proc. The error is BuildFailed, TooLarge over MaxArtifact bytes, or Internal.
func (s *S3) PutArtifact(ctx context.Context, app, commit, name, file string) (deploy.Artifact, error) {
	if err := checkCommit(app, commit); err != nil {
		return deploy.Artifact{}, err
	}
	f, err := openWithin(file, name)
	if err != nil {
		return deploy.Artifact{}, deploy.Errorf(deploy.BuildFailed, "artifact "+name, "not among what the build made: %w", err)
	}
	defer f.Close()
	a, err := measure(f, name)
	if err != nil {
		return deploy.Artifact{}, err
	}
	a.Key = artifactKey(app, commit, a.SHA256, name)
	_, err = s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &a.Key, Body: f, ContentLength: &a.Bytes, IfNoneMatch: aws.String("*"),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: aws.String(checksum(a.SHA256))}, AtOnce)
	if Exists(err) {
		return a, s.CheckArtifact(ctx, a)
	}
	if err != nil {
		return deploy.Artifact{}, deploy.Errorf(deploy.Internal, "artifact "+name, "store: %w", err)
	}
	return a, nil
}

// FetchArtifact downloads an artifact into file, whose folder must exist, with the mode 0755 where it was built executable, else
// 0644, less the umask. A file or a link that is there is replaced, and a link isn't followed. The error is NotFound, or BuildFailed
// where the content isn't what was built; then nothing stays in file.
func (s *S3) FetchArtifact(ctx context.Context, a deploy.Artifact, file string) (err error) {
	f, err := replace(file, a.Executable)
	if err != nil {
		return deploy.Errorf(deploy.Internal, "artifact "+a.Path, "%w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = deploy.Errorf(deploy.Internal, "artifact "+a.Path, "%w", cerr)
		}
		if err != nil {
			os.Remove(file)
		}
	}()
	sha, err := s.download(ctx, a.Key, f, MaxArtifact)
	if err != nil {
		return err
	}
	if sha != a.SHA256 {
		return changed(a, sha)
	}
	return nil
}

// replace makes a new file. What was at its place had a mode of its own, or led elsewhere.
func replace(file string, executable bool) (*os.File, error) {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}

	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	return os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
}

// CheckArtifact asks S3 whether it still holds what was built, without fetching it. The error is NotFound or BuildFailed.
func (s *S3) CheckArtifact(ctx context.Context, a deploy.Artifact) error {
	_, err := s.look(ctx, a)
	return err
}

func (s *S3) look(ctx context.Context, a deploy.Artifact) (*s3.HeadObjectOutput, error) {
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &a.Key, ChecksumMode: types.ChecksumModeEnabled})
	if missing(err) {
		return nil, deploy.Errorf(deploy.NotFound, "artifact "+a.Path, "it is gone from %s: %w", a.Key, err)
	}
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "artifact "+a.Path, "look for %s: %w", a.Key, err)
	}
	if got := aws.ToString(head.ChecksumSHA256); got != checksum(a.SHA256) {
		raw, _ := base64.StdEncoding.DecodeString(got)
		return nil, changed(a, hex.EncodeToString(raw))
	}
	return head, nil
}

// FindArtifact looks for the artifact that PutArtifact stored for somebody who knows its digest and isn't believed a word beyond:
// S3 says whether it is there, that this is its content's digest, and how much it holds. The error is NotFound or BuildFailed.
func (s *S3) FindArtifact(ctx context.Context, app, commit, name, sha string) (deploy.Artifact, error) {
	if err := checkCommit(app, commit); err != nil {
		return deploy.Artifact{}, err
	}
	if !deploy.ValidSHA256(sha) {
		return deploy.Artifact{}, deploy.Errorf(deploy.BuildFailed, "artifact "+name, "%q is no SHA-256; want 64 small hex digits", deploy.Cut(sha, 80))
	}
	a := deploy.Artifact{Path: name, Key: artifactKey(app, commit, sha, name), SHA256: sha}
	head, err := s.look(ctx, a)
	if err == nil {
		a.Bytes = aws.ToInt64(head.ContentLength)
	}
	return a, err
}

func artifactKey(app, commit, sha, name string) string {
	return strings.Join([]string{"artifacts", app, commit, sha, name}, "/")
}

func changed(a deploy.Artifact, sha string) error {
	if sha == "" {
		sha = "unknown"
	}
	return deploy.Errorf(deploy.BuildFailed, "artifact "+a.Path, "%s isn't what was built: its SHA-256 is %s; want %s", a.Key, sha, a.SHA256)
}

// checksum is S3's spelling of a hex digest.
func checksum(sha string) string {
	raw, _ := hex.DecodeString(sha)
	return base64.StdEncoding.EncodeToString(raw)
}

// openWithin follows links only inside the folder that file has name under, and opens nothing that could block.
func openWithin(file, name string) (*os.File, error) {
	dir, ok := strings.CutSuffix(filepath.ToSlash(file), "/"+name)
	if !ok {
		dir, name = filepath.Dir(file), filepath.Base(file)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is a %s; want a file", info.Mode().Type())
	}
	return root.Open(name)
}

// measure reads f for its digest and its mode and goes back to its start.
func measure(f *os.File, name string) (deploy.Artifact, error) {
	info, err := f.Stat()
	if err != nil {
		return deploy.Artifact{}, deploy.Errorf(deploy.Internal, "artifact "+name, "%w", err)
	}
	if info.Size() > MaxArtifact {
		return deploy.Artifact{}, deploy.Errorf(deploy.TooLarge, "artifact "+name, "it holds %d bytes; want at most %d", info.Size(), int64(MaxArtifact))
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return deploy.Artifact{}, deploy.Errorf(deploy.Internal, "artifact "+name, "read: %w", err)
	}

	executable := info.Mode()&0o111 != 0
	return deploy.Artifact{Path: name, SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: n, Executable: executable}, nil
}
