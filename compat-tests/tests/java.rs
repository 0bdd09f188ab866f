//! Kafka's own Java clients of several generations, one JVM for each suite of cases.

use ottla_compat_tests::tool::java_suite;
use ottla_compat_tests::{Node, suite};

const NEWEST: &str = "4.4.0";
const BEFORE_KRAFT_ONLY: &str = "3.9.1";
const LAST_OF_TWO: &str = "2.8.2";
/// The oldest that Kafka 4 still serves.
const OLDEST: &str = "2.1.1";

const RECORDS: &[&str] = &[
    "round-trip",
    "codec-none",
    "codec-gzip",
    "codec-snappy",
    "codec-lz4",
    "codec-zstd",
    "idempotent-producer",
    "acks",
    "nulls-and-headers",
    "large-and-too-large",
    "timestamps",
    "offsets-for-times",
    "seek-and-position",
    "out-of-range",
    "many-partitions",
    "auto-created-topic",
    "transactions-fail-at-once",
];

const ADMIN: &[&str] = &[
    "cluster",
    "topics",
    "refused-topics",
    "partitions",
    "topic-configs",
    "broker-configs",
    "log-dirs",
    "delete-records",
];

const MODERN: &[&str] = &[
    "topic-ids",
    "created-topic-shows-its-configs",
    "incremental-configs",
    "failed-append-leaves-nothing",
    "broker-configs",
    "config-synonyms-and-docs",
    "list-offsets",
    "log-dir-volume",
    "features",
    "many-topics",
    "groups-work-or-fail-at-once",
];

const CLUSTER: &[&str] = &[
    "elections",
    "reassignments",
    "quorum",
    "update-features",
    "producers",
    "replica-log-dirs",
    "quotas",
    "unregister",
];

/// Runs a suite against a broker of its own; each case must say ok, and none may be missing.
#[track_caller]
fn passes(clients: &str, class: &str, cases: &[&str]) {
    suite::passes(&mut Node::start(), java_suite(clients, &[], class), cases);
}

#[test]
fn records_of_the_newest_clients() {
    passes(NEWEST, "ottla.Records", RECORDS);
}

#[test]
fn admin_of_the_newest_clients() {
    passes(NEWEST, "ottla.Admin", ADMIN);
}

#[test]
fn what_is_new_in_the_newest_clients() {
    passes(NEWEST, "ottla.Modern", MODERN);
}

#[test]
fn the_cluster_of_the_newest_clients() {
    passes(NEWEST, "ottla.Cluster", CLUSTER);
}

#[test]
#[ignore = "slow: make compat"]
fn records_of_the_last_3_x_clients() {
    passes(BEFORE_KRAFT_ONLY, "ottla.Records", RECORDS);
}

#[test]
#[ignore = "slow: make compat"]
fn admin_of_the_last_3_x_clients() {
    passes(BEFORE_KRAFT_ONLY, "ottla.Admin", ADMIN);
    passes(BEFORE_KRAFT_ONLY, "ottla.Modern", MODERN);
    passes(BEFORE_KRAFT_ONLY, "ottla.Cluster", CLUSTER);
}

#[test]
#[ignore = "slow: make compat"]
fn records_and_admin_of_the_last_2_x_clients() {
    passes(LAST_OF_TWO, "ottla.Records", RECORDS);
    passes(LAST_OF_TWO, "ottla.Admin", ADMIN);
}

#[test]
fn records_of_the_oldest_clients() {
    passes(OLDEST, "ottla.Records", RECORDS);
}

#[test]
#[ignore = "slow: make compat"]
fn admin_of_the_oldest_clients() {
    passes(OLDEST, "ottla.Admin", ADMIN);
}
