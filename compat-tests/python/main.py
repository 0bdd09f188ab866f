"""Unmodified Python clients against one broker: main.py LIBRARY HOST:PORT CASE..."""

import os
import sys

import suite
from cases import Cases


def library(name, bootstrap):
    """Each library is imported only where it is tested."""
    if name == "aiokafka":
        from aio import AioKafka

        return AioKafka(bootstrap)
    if name == "kafka-python":
        from pure import KafkaPython

        return KafkaPython(bootstrap)
    from confluent import Confluent

    protocols = {"confluent-kafka": "classic", "confluent-kafka-consumer": "consumer"}
    return Confluent(bootstrap, protocols[name])


def unknown(name, names):
    raise suite.Failure(f"no case {name}; there are {', '.join(names)}")


def main(name, bootstrap, *wanted):
    cases = Cases(library(name, bootstrap), name).by_name()
    passed = [suite.run(case, cases.get(case, lambda: unknown(case, cases))) for case in wanted]
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the clients are no reason to stay.
    os._exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
