package trigger

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// MaxBody bounds a webhook's body: what Lambda takes as an event, in which the body's quotes are escaped besides, so that a real push
// has up to 5.5 MB. GitHub itself sends up to 25 MB; API Gateway answers 413 to what is larger.
const MaxBody = 6 << 20

// Memory keeps the answers to deliveries.
type Memory interface {
	Request(ctx context.Context, key string) (*deploy.Request, error)
	Remember(ctx context.Context, r deploy.Request) error
}

// Webhook answers GitHub's webhook, the one route of the API that needs no signature of AWS. All fields are wanted.
type Webhook struct {
	Trigger *Trigger
	Memory  Memory
	Secrets *Secrets
	Now     func() time.Time
	Log     *slog.Logger
}

// refusal is an answer that is no 2xx, in words for whoever set the webhook up.
type refusal struct {
	status int
	detail string
}

func (r *refusal) Error() string { return r.detail }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// serve answers one request: the status, and the JSON of the answer where there is no error. Nothing of the body is
// looked at before its signature.
func (h *Webhook) serve(ctx context.Context, header http.Header, body []byte) (int, []byte, error) {
	if err := h.signed(ctx, header, body); err != nil {
		return 0, nil, err
	}
	if len(body) > MaxBody {
		return 0, nil, refuse(http.StatusRequestEntityTooLarge, "the body has %d bytes; Slipway takes %d: push fewer commits at once, or deploy with slipway deploy", len(body), MaxBody)
	}
	if kind, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || kind != "application/json" {
		return 0, nil, refuse(http.StatusUnsupportedMediaType, "the content type is %q; set the webhook's to application/json", deploy.Cut(header.Get("Content-Type"), 80))
	}
	switch event := header.Get("X-GitHub-Event"); event {
	case "":
		return 0, nil, refuse(http.StatusBadRequest, "X-GitHub-Event is missing")
	case "ping":
		return encoded(http.StatusOK, ignored("a ping: the secret is right, and pushes will be heard"))
	case "push":
		return h.push(ctx, header.Get("X-GitHub-Delivery"), body)
	default:
		return encoded(http.StatusAccepted, ignored("the event %q deploys nothing; send only push", deploy.Cut(event, 80)))
	}
}

// push launches a push, or answers as it was answered when the delivery came before. What could not be done is not
// remembered, so that GitHub's Redeliver is another try.
func (h *Webhook) push(ctx context.Context, delivery string, body []byte) (int, []byte, error) {
	if delivery == "" || len(delivery) > 100 {
		return 0, nil, refuse(http.StatusBadRequest, "X-GitHub-Delivery has %d bytes; want GitHub's id of the delivery", len(delivery))
	}
	now := h.Now()
	sum := sha256.Sum256(body) // the id is not signed: another body under it is another delivery
	key := "github/" + delivery + "/" + hex.EncodeToString(sum[:])
	if r, err := h.Memory.Request(ctx, key); err != nil {
		return 0, nil, err
	} else if r != nil && r.Expires > now.Unix() {
		return http.StatusAccepted, []byte(r.Answer), nil
	}
	p, answer, err := github(body, now)
	if answer == nil && err == nil {
		answer, err = h.Trigger.Push(ctx, p)
	}
	if err != nil {
		return 0, nil, err
	}
	status, text, err := encoded(http.StatusAccepted, answer)
	if err != nil {
		return 0, nil, err
	}
	return status, text, h.Memory.Remember(ctx, deploy.Request{Key: key, Answer: string(text), Expires: now.Add(Remembered).Unix()})
}

func encoded(status int, answer *Answer) (int, []byte, error) {
	text, err := json.Marshal(answer)
	return status, text, err
}

// signed checks the body's HMAC with SHA-256 against each valid secret, in constant time.
func (h *Webhook) signed(ctx context.Context, header http.Header, body []byte) error {
	given := header.Get("X-Hub-Signature-256")
	switch {
	case given == "" && header.Get("X-Hub-Signature") != "":
		return refuse(http.StatusUnauthorized, "X-Hub-Signature-256 is missing; the SHA-1 of X-Hub-Signature is not enough")
	case given == "":
		return refuse(http.StatusUnauthorized, "X-Hub-Signature-256 is missing; set the webhook's secret")
	}
	mac, err := hex.DecodeString(strings.TrimPrefix(given, "sha256="))
	if err != nil || len(mac) != sha256.Size || !strings.HasPrefix(given, "sha256=") {
		return refuse(http.StatusUnauthorized, "X-Hub-Signature-256 is no sha256= and 64 hex digits")
	}
	matches := func(secrets []string) bool {
		good := false
		for _, secret := range secrets {
			sum := hmac.New(sha256.New, []byte(secret))
			sum.Write(body)
			good = hmac.Equal(sum.Sum(nil), mac) || good
		}
		return good
	}
	ok, err := h.Secrets.Any(ctx, matches)
	switch {
	case deploy.KindOf(err) == deploy.NotFound: // without a secret no signature is right, and a stranger's request is no failure
		return refuse(http.StatusUnauthorized, "the webhook has no secret in Secrets Manager, so that no signature can fit; an operator sets it")
	case err != nil:
		return err
	case !ok:
		return refuse(http.StatusUnauthorized, "X-Hub-Signature-256 does not fit the body and the secret")
	}
	return nil
}
