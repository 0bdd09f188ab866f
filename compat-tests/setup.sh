#!/usr/bin/env bash
# Brings in what the compat tests need and cargo cannot: kcat, a JDK, Kafka's command line classes and the Java
# clients. Does nothing twice. Says in one line what is missing when it cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

KAFKA_CLI_VERSION=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' kafka-cli/pom.xml)
JAVA_CLIENTS="4.4.0:modern 3.9.1:modern 2.1.1:legacy"
mkdir -p .cache

say() { echo "compat-tests: $*"; }
fail() { say "$*" >&2; exit 1; }

# One tool from one Debian package.
need() { # command package
  command -v "$1" >/dev/null && return
  command -v apt-get >/dev/null || fail "$1 is missing: install it (Debian: $2)"
  [ "$(id -u)" = 0 ] || fail "$1 is missing: apt-get install $2"
  say "installing $2"
  { apt-get install -y -q --no-install-recommends "$2" || { apt-get update -q && apt-get install -y -q --no-install-recommends "$2"; }; } \
    >.cache/apt.log 2>&1 || fail "$1 is missing and apt-get install $2 failed: see compat-tests/.cache/apt.log"
}

# Runs Maven quietly; its log stays for the day it fails.
maven() { # log-name arguments...
  local log=.cache/$1.log; shift
  mvn -q -B "$@" >"$log" 2>&1 || { tail -5 "$log" >&2; fail "mvn failed: see compat-tests/$log"; }
}

need cmake cmake
need c++ g++
need kcat kcat
need javac default-jdk-headless
need mvn maven

for client in $JAVA_CLIENTS; do
  version=${client%%:*} level=${client##*:}
  changed=$(find java -newer ".cache/java/$version/.ok" \( -name '*.java' -o -name pom.xml \) 2>/dev/null | head -1 || true)
  if [ -f ".cache/java/$version/.ok" ] && [ -z "$changed" ]; then continue; fi
  say "building the Java tests against kafka-clients $version"
  maven "java-$version" -f java/pom.xml -Dkafka.version="$version" -Dlevel="$level" compile
  touch ".cache/java/$version/.ok"
done

if [ ! -f ".cache/kafka-$KAFKA_CLI_VERSION/.ok" ]; then
  say "fetching Kafka $KAFKA_CLI_VERSION's command line classes"
  maven kafka-cli -f kafka-cli/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$PWD/.cache/kafka-$KAFKA_CLI_VERSION/lib"
  touch ".cache/kafka-$KAFKA_CLI_VERSION/.ok"
fi
say "ready"
