package main

// version is what the shop says it is. A build may set it: go build -ldflags "-X main.version=..."
var version = "v1"
