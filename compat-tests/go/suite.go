package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

// How long anything may take before a case fails: a Kafka that starts anew on a busy machine takes a minute.
const deadline = 120 * time.Second

// A failure ends its case: it is thrown with fail or must and caught by run.
type failure string

func fail(format string, arguments ...any) { panic(failure(fmt.Sprintf(format, arguments...))) }

func check(holds bool, format string, arguments ...any) {
	if !holds {
		fail(format, arguments...)
	}
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func get[T any](value T, err error) T {
	must(err)
	return value
}

func same[T comparable](expected, found T, what string) {
	check(expected == found, "%s: expected %v, found %v", what, expected, found)
}

// eventually polls until the condition holds.
func eventually(what string, condition func() bool) {
	end := time.Now().Add(deadline)
	for !condition() {
		check(time.Now().Before(end), "never: %s", what)
		time.Sleep(10 * time.Millisecond)
	}
}

// despite tells whether a condition holds where a failure only means that it does not hold yet.
func despite(condition func() bool) (holds bool) {
	defer func() {
		if thrown := recover(); thrown != nil {
			if _, expected := thrown.(failure); !expected {
				panic(thrown)
			}
		}
	}()
	return condition()
}

// run runs one case and says how it went, on one line.
func run(name string, body func()) (passed bool) {
	defer func() {
		if thrown := recover(); thrown != nil {
			reason, expected := thrown.(failure)
			if !expected {
				panic(thrown)
			}
			fmt.Printf("%s FAILED %s\n", name, strings.ReplaceAll(string(reason), "\n", " "))
		}
	}()
	body()
	fmt.Printf("%s ok\n", name)
	return true
}

var answers = bufio.NewReader(os.Stdin)

// broker has the test stop the broker ("kill" or "restart") and returns when it is back.
func broker(order string) {
	fmt.Printf("broker %s\n", order)
	get(answers.ReadString('\n'))
}
