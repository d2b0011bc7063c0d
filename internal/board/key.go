package board

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"
)

// Key opens one environment's flags for evaluation, and nothing else. Its text is shown once and kept nowhere.
type Key struct {
	ID          string     `json:"id"`
	App         string     `json:"app"`
	Environment string     `json:"environment"`
	Name        string     `json:"name"` // what it is for, as people say it
	Hash        string     `json:"-"`
	CreatedAt   time.Time  `json:"created_at"`
	CreatedBy   string     `json:"created_by"`
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`
	RevokedBy   string     `json:"revoked_by,omitempty"`
}

// keyPrefix lets people and secret scanners know one when they see it.
const keyPrefix = "slipway_"

// KeyText makes a key's text of 32 random bytes.
func KeyText(random [32]byte) string {
	return keyPrefix + base64.RawURLEncoding.EncodeToString(random[:])
}

// HashKey is what is stored of a key: the SHA-256 of its text, in hex. 256 random bits need no salt and no slow hash.
func HashKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ValidKeyID tells whether id has a key's form.
func ValidKeyID(id string) bool {
	rest, ok := strings.CutPrefix(id, "key-")
	return ok && len(rest) == 16 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
