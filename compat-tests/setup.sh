#!/usr/bin/env bash
# Brings in what the compat tests need and cargo cannot: kcat, a JDK, Kafka's command line classes, and clients in Java,
# Go, Python and Node. Does nothing twice. Says in one line what is missing when it cannot be had.
#   --all   also what only the slow tests need (make compat)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

KAFKA_CLI_VERSION=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' kafka-cli/pom.xml)
JAVA_CLIENTS="4.4.0:modern:latest 3.9.1:modern:none 2.8.2:legacy:none 2.1.1:legacy:none"
ALL=${1:-}
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

# Runs a command quietly; its log stays for the day it fails.
quietly() { # log-name command...
  local log=.cache/$1.log; shift
  "$@" >"$log" 2>&1 || { tail -5 "$log" >&2; fail "$1 failed: see compat-tests/$log"; }
}

# True if .cache/NAME was made from these sources, as they are now.
fresh() { # name sources...
  local made=.cache/$1/.ok; shift
  [ -f "$made" ] && [ -z "$(find "$@" -type f -newer "$made" | head -1)" ]
}

need cmake cmake
need c++ g++
need kcat kcat
need javac default-jdk-headless
need mvn maven

need go golang-go
need python3 python3
need node nodejs
need npm npm

for client in $JAVA_CLIENTS; do
  IFS=: read -r version level above <<<"$client"
  if fresh "java/$version" java; then continue; fi
  say "building the Java tests against kafka-clients $version"
  quietly "java-$version" mvn -q -B -f java/pom.xml -Dkafka.version="$version" -Dlevel="$level" -Dabove="$above" compile
  touch ".cache/java/$version/.ok"
done

if [ ! -f ".cache/kafka-$KAFKA_CLI_VERSION/.ok" ]; then
  say "fetching Kafka $KAFKA_CLI_VERSION's command line classes"
  quietly kafka-cli mvn -q -B -f kafka-cli/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$PWD/.cache/kafka-$KAFKA_CLI_VERSION/lib"
  touch ".cache/kafka-$KAFKA_CLI_VERSION/.ok"
fi

# Older Kafkas, whose directories are taken over: the broker alone, of the Scala that it was built for.
OLD_KAFKAS="3.9.1:2.13 3.8.1:2.13 3.3.2:2.13 2.8.2:2.13 2.1.1:2.12"
for kafka in $OLD_KAFKAS; do
  IFS=: read -r version scala <<<"$kafka"
  if [ "$ALL" = --all ] && [ ! -f ".cache/kafka-$version/.ok" ]; then
    say "fetching Kafka $version"
    quietly "kafka-$version" mvn -q -B -f kafka-cli/pom.xml -Dkafka.version="$version" -Dscala.version="$scala" -Dbroker.only \
      dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/.cache/kafka-$version/lib"
    # One binding of slf4j: that of log4j 2.
    rm -f .cache/kafka-"$version"/lib/slf4j-reload4j-*.jar .cache/kafka-"$version"/lib/slf4j-log4j12-*.jar
    rm -f .cache/kafka-"$version"/lib/log4j-1.2.17.jar .cache/kafka-"$version"/lib/reload4j-*.jar
    # The ZooKeeper client of that time does not read addresses as Java prints them since 14; the next one does.
    if [ -f ".cache/kafka-$version/lib/zookeeper-3.4.13.jar" ]; then
      rm ".cache/kafka-$version/lib/zookeeper-3.4.13.jar"
      cp .cache/kafka-2.8.2/lib/zookeeper-3.5.9.jar .cache/kafka-2.8.2/lib/zookeeper-jute-3.5.9.jar ".cache/kafka-$version/lib/"
    fi
    touch ".cache/kafka-$version/.ok"
  fi
done

if ! fresh go go; then
  say "building the Go clients"
  quietly go go build -C go -o "$PWD/.cache/go/clients" .
  touch .cache/go/.ok
fi

if ! fresh python python/requirements.txt; then
  say "fetching the Python clients"
  python3 -c 'import ensurepip' 2>/dev/null || need python3-venv python3-venv
  quietly python-venv python3 -m venv --clear .cache/python
  quietly python .cache/python/bin/pip install --only-binary :all: --no-deps -r python/requirements.txt
  touch .cache/python/.ok
fi

# The native module of @confluentinc/kafka-javascript is a matter of minutes where no build of it can be fetched: without
# --all its install script does not run.
if ! fresh node node/package.json node/package-lock.json; then
  say "fetching the Node clients"
  mkdir -p .cache/node
  cp node/package.json node/package-lock.json .cache/node/
  quietly node npm ci --prefix .cache/node --ignore-scripts
  touch .cache/node/.ok
fi
native=.cache/node/node_modules/@confluentinc/kafka-javascript
if [ "$ALL" = --all ] && [ ! -f "$native/build/Release/confluent-kafka-javascript.node" ]; then
  say "building @confluentinc/kafka-javascript"
  # It links what the system has, and its make rules do not stand parallel jobs.
  [ -e /usr/include/zstd.h ] || need zstd-headers libzstd-dev
  quietly node-native env CKJS_LINKING=dynamic MAKEFLAGS= npm rebuild --prefix .cache/node @confluentinc/kafka-javascript
fi
say "ready"
