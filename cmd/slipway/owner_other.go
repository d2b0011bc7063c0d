//go:build !unix

package main

import "os"

// checkOwner takes any file: its mode doesn't say whose it is here.
func checkOwner(os.FileInfo) error { return nil }
