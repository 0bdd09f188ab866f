#!/usr/bin/env bash
# Runs the clients' own integration tests against a broker: run.sh SUITE... with SUITE one of librdkafka, franz-go,
# rust-rdkafka. The sources come from the packages that cargo and Go fetch; nothing of them is kept in this repository.
#   OTTLA_BIN           the ottla to start and test
#   UPSTREAM_BOOTSTRAP  a broker that runs already, instead (a real Kafka: what fails there is no failure of Ottla)
# Writes .cache/upstream/SUITE.txt, a line "pass|fail CASE" each, and fails for a case that fails without standing in
# known-failures.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CACHE=$PWD/.cache/upstream
KNOWN=$PWD/upstream/known-failures.txt
# The longest case of librdkafka takes a minute and a half.
CASE_LIMIT=${UPSTREAM_CASE_LIMIT:-180}
mkdir -p "$CACHE"

say() { echo "upstream: $*"; }

# Where cargo keeps the sources of a package that Cargo.lock names.
crate() {
  cargo metadata --format-version 1 --locked | python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == sys.argv[1]:
        print(os.path.dirname(package["manifest_path"]))' "$1"
}

# A writable copy of a directory, once.
copy() { # from to
  [ -d "$2" ] || { cp -r "$1" "$2.new" && chmod -R u+w "$2.new" && mv "$2.new" "$2"; }
}

# What the suite's authors run it on.
properties() { # suite
  case $1 in
    rust-rdkafka) printf '%s\n' node.id=0 num.partitions=3 ;;
    *) printf '%s\n' num.partitions=4 ;;
  esac
}

start_ottla() { # suite
  local port=19291
  # Some of its tests know no other.
  [ "$1" != rust-rdkafka ] || port=9092
  HOME_OF_OTTLA=$(mktemp -d)
  { printf '%s\n' "log.dirs=$HOME_OF_OTTLA/data" "listeners=PLAINTEXT://127.0.0.1:$port" "admin.listeners=127.0.0.1:$((port + 1))"
    properties "$1"; } >"$HOME_OF_OTTLA/server.properties"
  "${OTTLA_BIN:?name the ottla to test}" --config "$HOME_OF_OTTLA/server.properties" >"$CACHE/ottla-$1.log" 2>&1 &
  OTTLA=$!
  trap stop_ottla EXIT
  BOOTSTRAP=127.0.0.1:$port
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return; sleep 0.1; done
  say "ottla does not answer, see $CACHE/ottla-$1.log" >&2
  exit 1
}

stop_ottla() {
  [ -n "${OTTLA:-}" ] || return 0
  kill "$OTTLA" 2>/dev/null || true
  wait "$OTTLA" || true
  rm -rf "$HOME_OF_OTTLA"
  OTTLA=
}

# A Kafka distribution as far as some cases call it: two scripts over the classes that setup.sh fetched.
kafka_distribution() { # directory
  local script version
  version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' kafka-cli/pom.xml)
  mkdir -p "$1/bin"
  for script in kafka-topics:TopicCommand kafka-acls:AclCommand; do
    printf '#!/bin/sh\nexec java -Xmx256M -cp "%s" -Dlog4j2.configurationFile="%s" org.apache.kafka.tools.%s "$@"\n' \
      "$PWD/.cache/kafka-$version/lib/*" "$PWD/kafka-cli/log4j2.yaml" "${script#*:}" >"$1/bin/${script%:*}.sh"
    chmod +x "$1/bin/${script%:*}.sh"
  done
}

# One case a process: a case that hangs costs its limit and nothing else.
librdkafka() {
  copy "$(crate rdkafka-sys)/librdkafka" "$CACHE/librdkafka"
  local build=$CACHE/librdkafka/build runner case result
  cmake -S "$CACHE/librdkafka" -B "$build" -DRDKAFKA_BUILD_TESTS=ON -DRDKAFKA_BUILD_EXAMPLES=OFF \
    -DWITH_SSL=OFF -DWITH_SASL=OFF -DWITH_CURL=OFF >"$CACHE/librdkafka.log" 2>&1
  cmake --build "$build" --parallel 2 >>"$CACHE/librdkafka.log" 2>&1
  runner=$build/tests/test-runner
  kafka_distribution "$CACHE/kafka"
  export KAFKA_PATH=$CACHE/kafka BROKERS=$BOOTSTRAP
  cd "$CACHE/librdkafka/tests"
  printf '%s\n' "bootstrap.servers=$BOOTSTRAP" "broker.address.family=v4" "test.topic.random=true" >test.conf
  # -L leaves out the tests without a broker; the others are named by their numbers. From 8000 on they are for people.
  for case in $(ls | sed -n 's/^\([0-7][0-9]\{3\}\)[-_].*\.c\(pp\)\{0,1\}$/\1/p' | sort -u); do
    result=fail
    TESTS=$case TEST_KAFKA_VERSION=4.0.0 timeout "$CASE_LIMIT" "$runner" -p1 -Q -L -E >"$CACHE/librdkafka-$case.log" 2>&1 && result=pass
    echo "$result $case"
  done
}

franz_go() {
  local dir
  dir=$(go list -C go -m -f '{{.Dir}}' github.com/twmb/franz-go)
  # TestTxnEtl waits for a transaction for ever where none is served.
  KGO_SEEDS=$BOOTSTRAP KGO_TEST_RF=1 KGO_TEST_RECORDS=${UPSTREAM_RECORDS:-20000} \
    go test -C "$dir" -timeout 20m -skip TestTxnEtl -v ./pkg/kgo >"$CACHE/franz-go.log" 2>&1 || true
  sed -n 's/^ *--- PASS: \([^ ]*\).*/pass \1/p; s/^ *--- FAIL: \([^ ]*\).*/fail \1/p' "$CACHE/franz-go.log"
}

rust_rdkafka() {
  copy "$(crate rdkafka)" "$CACHE/rust-rdkafka"
  cd "$CACHE/rust-rdkafka"
  grep -q '^\[workspace\]' Cargo.toml || echo '[workspace]' >>Cargo.toml
  local log=$CACHE/rust-rdkafka.log
  KAFKA_HOST=$BOOTSTRAP KAFKA_VERSION=4.0.0 CARGO_TARGET_DIR=$CACHE/target timeout 1200 \
    cargo test --no-fail-fast --features cmake-build --tests >"$log" 2>&1 || true
  sed -n 's/^test \([^ ]*\) \.\.\. ok$/pass \1/p; s/^test \([^ ]*\) \.\.\. FAILED$/fail \1/p' "$log"
}

new=0
for suite in "$@"; do
  BOOTSTRAP=${UPSTREAM_BOOTSTRAP:-}
  [ -n "$BOOTSTRAP" ] || start_ottla "$suite"
  say "$suite against $BOOTSTRAP"
  (${suite//-/_}) >"$CACHE/$suite.txt"
  say "$suite: $(grep -c '^pass' "$CACHE/$suite.txt" || true) pass, $(grep -c '^fail' "$CACHE/$suite.txt" || true) fail"
  [ -s "$CACHE/$suite.txt" ] || { say "$suite ran nothing, see $CACHE"; new=1; }
  while read -r _ case; do
    grep -q "^$suite $case:" "$KNOWN" || { say "$suite: $case fails and is not known to"; new=1; }
  done < <(grep '^fail' "$CACHE/$suite.txt" || true)
  stop_ottla
done
exit "$new"
