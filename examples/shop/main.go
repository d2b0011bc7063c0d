// Shop is an example of an app that Slipway deploys: a small HTTP API that runs as a Lambda function behind a URL.
package main

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/akrylysov/algnhsa"
)

func main() {
	algnhsa.ListenAndServe(newHandler(), &algnhsa.Options{RequestType: algnhsa.RequestTypeAPIGatewayV2})
}

func newHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", health)
	mux.HandleFunc("GET /{$}", welcome)
	mux.HandleFunc("GET /total", quote)
	return mux
}

func health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"status": "ok", "version": version})
}

func welcome(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"shop": "Slipway's tea shop", "version": version, "prices": prices})
}

// quote answers GET /total?item=tea&count=3.
func quote(w http.ResponseWriter, r *http.Request) {
	item := r.URL.Query().Get("item")
	count, err := strconv.Atoi(r.URL.Query().Get("count"))
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "count: want a number"})
		return
	}
	cents, err := total(item, count)
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"item": item, "count": count, "cents": cents, "version": version})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked has gone: nobody to tell
}
