package remote

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Signed is what CodeCommit is asked with.
func Signed(c aws.Credentials, region, host, path string, now time.Time) (user, password string) {
	s := signed(c, region, host, path, now)
	return s.user, s.password
}

// OrDefault is what limits stand for.
func OrDefault(l Limits) Limits { return l.orDefault() }

// Exchange is one request of a pack, with what its answer begins with before.
var (
	Exchange = exchange
	ReadRefs = readRefs
)
