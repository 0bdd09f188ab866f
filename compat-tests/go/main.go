// Unmodified Go clients against one broker: clients LIBRARY HOST:PORT CASE...
//
// Each library is reduced to the client interface; the cases are the same for all. What is printed is read by the test
// that started the program (compat-tests/src/suite.rs).
package main

import (
	"fmt"
	"os"
	"strings"
)

var libraries = map[string]func(bootstrap string) client{
	"franz-go":          func(bootstrap string) client { return newFranz(bootstrap, false) },
	"franz-go-consumer": func(bootstrap string) client { return newFranz(bootstrap, true) },
	"sarama":            func(bootstrap string) client { return newSarama(bootstrap) },
	"kafka-go":          func(bootstrap string) client { return newKafkaGo(bootstrap) },
}

func main() {
	if len(os.Args) < 4 || libraries[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: clients LIBRARY HOST:PORT CASE...")
		os.Exit(2)
	}
	library, bootstrap := os.Args[1], os.Args[2]
	cases := suite{libraries[library](bootstrap), library}.cases()
	failed := 0
	for _, name := range os.Args[3:] {
		body, known := cases[name]
		if !known {
			body = func() { fail("no such case; there are %s", strings.Join(names(cases), ", ")) }
		}
		if !run(name, body) {
			failed++
		}
	}
	os.Exit(min(failed, 1))
}

func names(cases map[string]func()) []string {
	var names []string
	for name := range cases {
		names = append(names, name)
	}
	return names
}
