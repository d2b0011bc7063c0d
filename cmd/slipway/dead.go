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

// The names of the stack's queue and function.
const (
	deadEvents     = "slipway-dead-events"
	commitFunction = "slipway-commit"
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

// letters is the queue of dead events, and the function that they are for.
type letters struct {
	queue  *sqs.Client
	url    *string
	commit *lambda.Client
}

func openLetters(ctx context.Context, cfg aws.Config) (*letters, error) {
	l := &letters{queue: sqs.NewFromConfig(cfg), commit: lambda.NewFromConfig(cfg)}
	out, err := l.queue.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(deadEvents)})
	if err != nil {
		return nil, fmt.Errorf("find the queue %s: %w", deadEvents, err)
	}
	l.url = out.QueueUrl
	return l, nil
}

// each reads letters, limit at most and each once, and gives back what take leaves: it says whether the letter is done with.
func (l *letters) each(ctx context.Context, limit int, take func(*letter) (bool, error)) (err error) {
	left := map[*string]bool{}
	defer func() { err = errors.Join(err, l.giveBack(context.WithoutCancel(ctx), left)) }()
	for seen := 0; seen < limit; {
		out, err := l.queue.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: l.url, MaxNumberOfMessages: int32(min(10, limit-seen)), VisibilityTimeout: readSeconds, WaitTimeSeconds: 1,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameSentTimestamp},
			MessageAttributeNames:       []string{"All"},
		})
		if err != nil {
			return fmt.Errorf("read the queue %s: %w", deadEvents, err)
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
			if _, err := l.queue.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: l.url, ReceiptHandle: read.receipt}); err != nil {
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
		_, err := l.queue.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: l.url, ReceiptHandle: receipt, VisibilityTimeout: 0})
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
	out, err := l.commit.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(commitFunction), Payload: read.Event})
	if err != nil {
		return fmt.Errorf("call %s: %w", commitFunction, err)
	}
	if out.FunctionError != nil {
		var said struct {
			Message string `json:"errorMessage"`
		}
		_ = json.Unmarshal(out.Payload, &said)
		read.failed, read.Result = true, "failed again: "+deploy.Cut(said.Message, 500)
		return nil
	}
	var a trigger.Answer
	if err := json.Unmarshal(out.Payload, &a); err != nil {
		return fmt.Errorf("%s answered what this version does not know: %w", commitFunction, err)
	}
	read.Result = a.Ignored
	for _, d := range a.Deployments {
		if read.Result != "" {
			read.Result += ", "
		}
		read.Result += d.Deployment
		if d.Note != "" {
			read.Result += " (" + d.Note + ")"
		}
	}
	return nil
}
