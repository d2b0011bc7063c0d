// Package flags measures internal/flag beside the other engines that Go has, in one run, on one machine.
package flags
