//go:build !linux

package pipeline_test

// dropCapabilities has nothing to do where there are none.
func dropCapabilities() {}
