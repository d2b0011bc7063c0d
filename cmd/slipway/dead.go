package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/trigger"
)

// office is one of the stack's queues of dead letters, with the function that they are for.
type office struct {
	queue, function string
	result          func(l *letter, answer []byte) error // reads what the function said
}

var (
	commits       = office{"slipway-dead-events", "slipway-commit", (*letter).deployed}
	notifications = office{"slipway-dead-notifications", "slipway-notify", (*letter).told}
)

// readSeconds is for how long nobody else gets a letter that is read: longer than ten calls of the function.
const readSeconds = 900

// letter is an event that nobody could process.
type letter struct {
	ID     string          `json:"id"` // the message's
	Sent   time.Time       `json:"sent"`
	Why    string          `json:"why"` // it is here
	Event  json.RawMessage `json:"event"`
	Result string          `json:"result,omitempty"` // of sending it again

	receipt *string
	failed  bool
}

// letters is an office that is open.
type letters struct {
	office
	sqs    *sqs.Client
	url    *string
	lambda *lambda.Client
}

func openLetters(ctx context.Context, cfg aws.Config, o office) (*letters, error) {
	l := &letters{office: o, sqs: sqs.NewFromConfig(cfg), lambda: lambda.NewFromConfig(cfg)}
	out, err := l.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &o.queue})
	if err != nil {
		return nil, fmt.Errorf("find the queue %s: %w", o.queue, err)
	}
	l.url = out.QueueUrl
	return l, nil
}

// each reads letters, limit at most and each once, and gives back what take leaves: it says whether the letter is done with.
func (l *letters) each(ctx context.Context, limit int, take func(*letter) (bool, error)) (err error) {
	left := map[*string]bool{}
	defer func() { err = errors.Join(err, l.giveBack(context.WithoutCancel(ctx), left)) }()
	for seen := 0; seen < limit; {
		out, err := l.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: l.url, MaxNumberOfMessages: int32(min(10, limit-seen)), VisibilityTimeout: readSeconds, WaitTimeSeconds: 1,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameSentTimestamp},
			MessageAttributeNames:       []string{"All"},
		})
		if err != nil {
			return fmt.Errorf("read the queue %s: %w", l.queue, err)
		}
		if len(out.Messages) == 0 {
			return nil
		}
		for i := range out.Messages {
			left[out.Messages[i].ReceiptHandle] = true
		}
		for i := range out.Messages {
			seen++
			read := readLetter(out.Messages[i])
			done, err := take(read)
			if err != nil {
				return err
			}
			if !done {
				continue
			}
			if _, err := l.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: l.url, ReceiptHandle: read.receipt}); err != nil {
				return fmt.Errorf("delete %s: %w; to send it again is harmless", read.ID, err)
			}
			delete(left, read.receipt)
		}
	}
	return nil
}

// giveBack lets others read the letters again at once.
func (l *letters) giveBack(ctx context.Context, receipts map[*string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // for maxLetters, one by one
	defer cancel()
	for receipt := range receipts {
		_, err := l.sqs.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: l.url, ReceiptHandle: receipt, VisibilityTimeout: 0})
		if err != nil {
			return fmt.Errorf("give back an event, which else comes back in %d minutes: %w", readSeconds/60, err)
		}
	}
	return nil
}

// readLetter finds the event in a message: Lambda wraps it, with the function's error; EventBridge sends it bare, with
// its reasons beside.
func readLetter(m types.Message) *letter {
	l := &letter{ID: aws.ToString(m.MessageId), receipt: m.ReceiptHandle, Event: json.RawMessage(aws.ToString(m.Body))}
	var ms int64
	if _, err := fmt.Sscan(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], &ms); err == nil {
		l.Sent = time.UnixMilli(ms).UTC()
	}
	var wrapped struct {
		Event json.RawMessage `json:"requestPayload"`
		Error struct {
			Message string `json:"errorMessage"`
		} `json:"responsePayload"`
	}
	if err := json.Unmarshal(l.Event, &wrapped); err == nil && len(wrapped.Event) > 0 {
		l.Event, l.Why = wrapped.Event, wrapped.Error.Message
	} else if text := m.MessageAttributes["ERROR_MESSAGE"].StringValue; text != nil {
		l.Why = "not delivered: " + *text
	}
	if !json.Valid(l.Event) { // so that it can be shown as JSON
		text, _ := json.Marshal(string(l.Event))
		l.Event, l.Why = text, "it is no event"
	}
	return l
}

// sendAgain calls the function with the event, and waits for what it says.
func (l *letters) sendAgain(ctx context.Context, read *letter) error {
	var batch struct{ DDBStreamBatchInfo json.RawMessage }
	if _ = json.Unmarshal(read.Event, &batch); batch.DDBStreamBatchInfo != nil {
		read.failed, read.Result = true, "only says where in the table's stream the records are: see slipway-notifications-dead in docs/operations.md"
		return nil
	}
	out, err := l.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: &l.function, Payload: read.Event})
	if err != nil {
		return fmt.Errorf("call %s: %w", l.function, err)
	}
	if out.FunctionError != nil {
		var said struct {
			Message string `json:"errorMessage"`
		}
		_ = json.Unmarshal(out.Payload, &said)
		read.failed, read.Result = true, "failed again: "+deploy.Cut(said.Message, 500)
		return nil
	}
	if err := l.result(read, out.Payload); err != nil {
		return fmt.Errorf("%s answered what this version does not know: %w", l.function, err)
	}
	return nil
}

// deployed is what came of an event.
func (l *letter) deployed(answer []byte) error {
	var a trigger.Answer
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	l.Result = a.Ignored
	for _, d := range a.Deployments {
		if l.Result != "" {
			l.Result += ", "
		}
		l.Result += d.Deployment
		if d.Note != "" {
			l.Result += " (" + d.Note + ")"
		}
	}
	return nil
}

// told is what came of a notification.
func (l *letter) told(answer []byte) error {
	var a struct{ Refused string }
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	l.Result = "told"
	if a.Refused != "" {
		l.failed, l.Result = true, "refused for good: "+deploy.Cut(a.Refused, 500)
	}
	return nil
}
