package ofrep

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// extensionTime bounds the registration, which happens before a function's first request.
const extensionTime = time.Second

// Shutdown is Lambda's word, half a second before it kills a function, that it's the time for last things.
type Shutdown struct{ registered chan error }

// AwaitShutdown asks for that word, at the runtime API's address (AWS_LAMBDA_RUNTIME_API). Lambda gives it, as SIGTERM, to
// nobody but functions that have an extension; so this registers one that wants no events, while the function goes on
// with its start. aws-lambda-go's WithEnableSIGTERM does the same one after the other, and takes half as long again as all
// the rest of a cold start.
func AwaitShutdown(address string) Shutdown {
	s := Shutdown{registered: make(chan error, 1)}
	go func() { s.registered <- register(address) }()
	return s
}

// Then calls end at that time. It comes back once Lambda knows of the extension, which must be before lambda.Start. Its
// error says that Lambda wouldn't have it: then only others' SIGTERMs are heard.
func (s Shutdown) Then(end func()) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		end()
	}()
	return <-s.registered
}

// register speaks HTTP by hand: one request that is answered, and one that stays open for as long as the function lives.
func register(address string) error {
	conn, err := net.DialTimeout("tcp", address, extensionTime)
	if err != nil {
		return err
	}
	const body = `{"events":[]}`
	_ = conn.SetDeadline(time.Now().Add(extensionTime))
	_, err = fmt.Fprintf(conn, "POST /2020-01-01/extension/register HTTP/1.1\r\nHost: %s\r\nLambda-Extension-Name: slipway\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", address, len(body), body)
	if err != nil {
		_ = conn.Close()
		return err
	}
	id, err := readIdentifier(bufio.NewReader(conn))
	if err != nil {
		_ = conn.Close()
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	// Init ends when the function and its extensions have asked for what comes next. Nothing does.
	_, err = fmt.Fprintf(conn, "GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: %s\r\nLambda-Extension-Identifier: %s\r\n\r\n", address, id)
	go func() {
		_, _ = io.Copy(io.Discard, conn) // the rest of the answer, and then nothing, for as long as the function lives
	}()
	return err
}

// readIdentifier reads the head of the answer to a registration. Its body is left where it is: nothing is read behind it.
func readIdentifier(r *bufio.Reader) (string, error) {
	status, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200") {
		return "", fmt.Errorf("register an extension: %s", strings.TrimSpace(status))
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return "", errors.New("register an extension: the answer names none")
		}
		if strings.EqualFold(name, "Lambda-Extension-Identifier") {
			return strings.TrimSpace(value), nil
		}
	}
}
