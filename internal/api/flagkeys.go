package api

import (
	"encoding/base32"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// KeyRequest asks for an evaluation key.
type KeyRequest struct {
	Name string `json:"name"` // what it is for
}

// NewKey is an evaluation key with its text, which is shown this once.
type NewKey struct {
	board.Key
	Text string `json:"key"`
}

// KeyPage is all evaluation keys of an environment.
type KeyPage struct {
	Keys []board.Key `json:"keys"`
}

// MaxKeyName is the most bytes of an evaluation key's name.
const MaxKeyName = 100

func (c *Control) createKey(r *http.Request) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	var in KeyRequest
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	if r.Header.Get("Idempotency-Key") != "" {
		return 0, nil, deploy.FieldErrorf("Idempotency-Key", "is not for evaluation keys, whose text is kept nowhere and can't be given again; leave it out")
	}
	if in.Name == "" || len(in.Name) > MaxKeyName || !utf8.ValidString(in.Name) {
		return 0, nil, deploy.FieldErrorf("name", "want 1 to %d bytes that say what the key is for", MaxKeyName)
	}
	var secret [32]byte
	var id [10]byte
	for _, random := range [][]byte{secret[:], id[:]} {
		if _, err := io.ReadFull(c.Entropy, random); err != nil {
			return 0, nil, deploy.Errorf(deploy.Internal, "evaluation key", "%w", err)
		}
	}
	k := NewKey{Text: board.KeyText(secret), Key: board.Key{
		ID: "key-" + strings.ToLower(base32.StdEncoding.EncodeToString(id[:])), App: at.app, Environment: at.environment, Name: in.Name,
		CreatedAt: c.Now().UTC(), CreatedBy: c.origin(r, "").By,
	}}
	k.Hash = board.HashKey(k.Text)
	if err := c.Flags.CreateKey(r.Context(), &k.Key); err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, k, nil
}

func (c *Control) listKeys(r *http.Request) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	keys, err := c.Flags.Keys(r.Context(), at.app, at.environment)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, KeyPage{keys}, nil
}

func (c *Control) revokeKey(r *http.Request) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	id := r.PathValue("keyid")
	if !board.ValidKeyID(id) {
		return 0, nil, deploy.FieldErrorf("id", "%q is not an evaluation key's id; want one of the list", deploy.Cut(id, 80))
	}
	k, err := c.Flags.RevokeKey(r.Context(), at.app, at.environment, id, c.origin(r, "").By, c.Now().UTC())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, k, nil
}
