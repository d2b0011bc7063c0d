package launch

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Once says what makes a request the same as one before. The zero value is for requests that count each time.
type Once struct {
	Key         string        // the same for the same request; whoever makes keys keeps them apart from others'
	Fingerprint string        // of all that the request asks for
	Keep        time.Duration // how long the key is remembered
	Replaces    string        // the deployment that the key may belong to without being taken: its commit is pushed once more
	Tip         *deploy.Tip   // of the branch, the new one with the version of the one before; nil for no push
}

// ErrReused is in the chain of the Conflict about a key that came before with another request.
var ErrReused = errors.New("the key belongs to another request")

// Repeated finds the deployment that the request made when it came before; nil where it is new. Where its execution may
// not have been started, because whoever recorded it died, it is started now. A Conflict with ErrReused says that the key
// is another request's.
func (l *Launcher) Repeated(ctx context.Context, once Once) (*deploy.Deployment, error) {
	if once.Key == "" {
		return nil, nil
	}
	r, err := l.Store.Request(ctx, once.Key)
	if err != nil || r == nil || r.Expires <= l.Now().Unix() || r.Deployment == once.Replaces {
		return nil, err
	}
	d, err := l.earlier(ctx, *r, once)
	if d != nil && neverRan(d) {
		return nil, err
	}
	return d, err
}

// create stores the record. Where the request came before, its deployment is the answer; one that never ran is replaced.
func (l *Launcher) create(ctx context.Context, d *deploy.Deployment, once Once) (*deploy.Deployment, error) {
	if once.Key == "" {
		return nil, l.Store.Create(ctx, d)
	}
	r := deploy.Request{Key: once.Key, Fingerprint: once.Fingerprint, Expires: d.StartTime.Add(once.Keep).Unix()}
	taken, err := l.Store.CreateOnce(ctx, d, r, once.Replaces, once.Tip)
	if taken == nil || err != nil {
		return nil, err
	}
	earlier, err := l.earlier(ctx, *taken, once)
	if err != nil || !neverRan(earlier) {
		return earlier, err
	}
	if taken, err = l.Store.CreateOnce(ctx, d, r, earlier.ID, once.Tip); taken == nil || err != nil {
		return nil, err
	}
	return l.earlier(ctx, *taken, once)
}

// neverRan tells whether the deployment ended because its execution could not be started, or was not and the sweep ended it. The
// same request again is then worth another try, which is another deployment.
func neverRan(d *deploy.Deployment) bool { return d.Status == deploy.Failed && len(d.Stages) == 0 }

// earlier is the deployment of a request that came before, its execution started.
func (l *Launcher) earlier(ctx context.Context, r deploy.Request, once Once) (*deploy.Deployment, error) {
	if r.Fingerprint != once.Fingerprint {
		return nil, deploy.Errorf(deploy.Conflict, "", "%w, which made %s", ErrReused, r.Deployment)
	}
	d, err := l.Store.Deployment(ctx, r.Deployment)
	if err != nil || d.Status != deploy.Pending {
		return d, err
	}
	d.Execution, err = l.Machine.Start(ctx, d.ID)
	return d, err
}
