// SPDX-License-Identifier: Apache-2.0

// Command waybill-native is the part of the delta engine that is too slow in Python: alignment of programs, and deflate streams that
// no known compressor makes. It reads from standard input, writes to standard output, and knows nothing of files or networks.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// commands is filled by the files that hold them.
var commands = map[string]func(from io.Reader, to io.Writer) error{
	"version": func(_ io.Reader, to io.Writer) error {
		_, err := fmt.Fprintln(to, "waybill-native 1")
		return err
	},
}

// Every other failure is one of the input and ends with status 2.
type statusError interface {
	error
	ExitCode() int
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "waybill-native:", err)
		status := 2
		var other statusError
		if errors.As(err, &other) {
			status = other.ExitCode()
		}
		os.Exit(status)
	}
}

func run(arguments []string, from io.Reader, to io.Writer) error {
	if len(arguments) != 1 || commands[arguments[0]] == nil {
		names := make([]string, 0, len(commands))
		for name := range commands {
			names = append(names, name)
		}
		sort.Strings(names)
		return fmt.Errorf("usage: waybill-native %s", strings.Join(names, "|"))
	}
	out := bufio.NewWriterSize(to, 1<<16)
	if err := commands[arguments[0]](from, out); err != nil {
		return err
	}
	return out.Flush()
}
