package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// TestReadLetter: Lambda wraps an event, EventBridge puts its reasons beside it, and anybody may put anything.
func TestReadLetter(t *testing.T) {
	event := `{"detail-type":"Commit Pushed","detail":{"app":"shop","branch":"main","commit":"` + strings.Repeat("a", 40) + `"}}`
	for name, each := range map[string]struct {
		body, delivery   string // EventBridge's ERROR_MESSAGE
		event, why, what string
	}{
		"of lambda": {`{"requestPayload":` + event + `,"responsePayload":{"errorType":"Error","errorMessage":"no bundle"}}`, "",
			event, "no bundle", `"Commit Pushed shop main aaaaaaaa"`},
		"of eventbridge": {event, "Rate exceeded", event, "not delivered: Rate exceeded", `"Commit Pushed shop main aaaaaaaa"`},
		"of codecommit": {`{"detail-type":"CodeCommit Repository State Change","detail":{"repositoryName":"shop","referenceName":"main","commitId":"bbbbbbbbbb"}}`, "",
			`{"detail-type":"CodeCommit Repository State Change","detail":{"repositoryName":"shop","referenceName":"main","commitId":"bbbbbbbbbb"}}`, "", `"CodeCommit Repository State Change shop main bbbbbbbb"`},
		"of a channel": {`{"requestPayload":{"channel":"github","event":{"detail":{"app":"shop","environment":"production","status":"failed","deployment":"deploy-1"}}},"responsePayload":{"errorMessage":"502"}}`, "",
			`{"channel":"github","event":{"detail":{"app":"shop","environment":"production","status":"failed","deployment":"deploy-1"}}}`, "502", `"github shop production failed deploy-1"`},
		"of anybody":   {"hello", "", `"hello"`, "it is no event", "unreadable"},
		"of nothing":   {"", "", `""`, "it is no event", "unreadable"},
		"with escapes": {"{\"detail-type\":\"\\u001b[31m\"}", "", "{\"detail-type\":\"\\u001b[31m\"}", "", `"\x1b[31m"`},
	} {
		t.Run(name, func(t *testing.T) {
			m := types.Message{Body: &each.body, MessageId: aws.String("1"), Attributes: map[string]string{"SentTimestamp": "1795597200000"}}
			if each.delivery != "" {
				m.MessageAttributes = map[string]types.MessageAttributeValue{"ERROR_MESSAGE": {StringValue: &each.delivery}}
			}
			l := readLetter(m)
			if string(l.Event) != each.event || l.Why != each.why || l.what() != each.what || instant(l.Sent) != "2026-11-25 09:00:00" {
				t.Errorf("%s, %q, %s, %s", l.Event, l.Why, l.what(), l.Sent)
			}
			if _, err := json.Marshal(l); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTold: what a channel refuses stays, and so do records that the message only points to, which are never sent.
func TestTold(t *testing.T) {
	for answer, want := range map[string]letter{
		`{}`:                        {Result: "told"},
		`{"refused":"GitHub: 401"}`: {Result: "refused for good: GitHub: 401", failed: true},
	} {
		l := letter{}
		if err := l.told([]byte(answer)); err != nil || l.Result != want.Result || l.failed != want.failed {
			t.Errorf("%s: %v, %+v", answer, err, l)
		}
	}
	body := `{"requestContext":{},"DDBStreamBatchInfo":{"shardId":"1"}}`
	l := readLetter(types.Message{Body: &body})
	if err := (&letters{office: notifications}).sendAgain(t.Context(), l); err != nil || !l.failed || !strings.Contains(l.Result, "slipway-notifications-dead") {
		t.Errorf("%v, %+v", err, l)
	}
}

func FuzzReadLetter(f *testing.F) {
	f.Add(`{"requestPayload":{"detail":{}},"responsePayload":{"errorMessage":"x"}}`)
	f.Add(`{"requestPayload":[`)
	f.Fuzz(func(t *testing.T, body string) {
		l := readLetter(types.Message{Body: &body})
		if _, err := json.Marshal(l); err != nil || strings.ContainsAny(l.what(), "\x1b\n\t") {
			t.Errorf("%q, %v", l.what(), err)
		}
	})
}
