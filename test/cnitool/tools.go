//go:build tools

// Package cnitool pins the version of the program cnitool that the end-to-end tests call plugins with. It is built by
// scripts/build-cnitool.mjs; nothing else in this repository is Go.
package cnitool

import _ "github.com/containernetworking/cni/cnitool"
