//! Java consumers of several generations in groups: every assignor, static members, rebalances under load, commits,
//! positions, a broker that stops.

use ottla_compat_tests::Node;
use ottla_compat_tests::suite::{QUICK_GROUPS, passes};
use ottla_compat_tests::tool::java_suite;

/// What the oldest clients can.
const SINCE_2_1: [&str; 9] =
    ["range", "roundrobin", "sticky", "commits", "positions", "left-behind", "pattern", "kill", "restart"];
const SINCE_2_4: [&str; 3] = ["cooperative-sticky", "static-members", "under-load"];
const CONSUMER_PROTOCOL: [&str; 9] =
    ["uniform", "range", "commits", "positions", "static-members", "left-behind", "pattern", "kill", "under-load"];

#[track_caller]
fn groups_pass(clients: &str, flags: &[&str], cases: &[&str]) {
    passes(&mut Node::with(&QUICK_GROUPS), java_suite(clients, flags, "ottla.Groups"), cases);
}

/// What the newest AdminClient does with groups of either protocol.
const ADMIN: [&str; 4] = ["listed", "described", "offsets", "removed-members"];

#[track_caller]
fn administration_passes(flags: &[&str], cases: &[&str]) {
    passes(&mut Node::with(&QUICK_GROUPS), java_suite("4.4.0", flags, "ottla.GroupAdmin"), cases);
}

#[test]
fn administration_of_classic_groups() {
    administration_passes(&[], &[&ADMIN[..], &["classic-description"]].concat());
}

#[test]
fn administration_of_consumer_groups_and_patterns_the_broker_resolves() {
    administration_passes(
        &["-Dgroup.protocol=consumer"],
        &[&ADMIN[..], &["broker-side-regex", "config-resources"]].concat(),
    );
}

#[test]
fn groups_of_the_newest_clients() {
    groups_pass("4.4.0", &[], &["range", "cooperative-sticky", "commits", "static-members", "kill"]);
}

#[test]
fn groups_of_the_newest_clients_in_the_consumer_protocol() {
    groups_pass("4.4.0", &["-Dgroup.protocol=consumer"], &["uniform", "commits", "static-members", "kill"]);
}

#[test]
fn groups_of_the_oldest_clients() {
    groups_pass("2.1.1", &[], &["range", "commits", "kill"]);
}

#[test]
#[ignore = "slow: make compat"]
fn all_of_groups_of_4_4() {
    groups_pass("4.4.0", &[], &[&SINCE_2_1[..], &SINCE_2_4].concat());
}

#[test]
#[ignore = "slow: make compat"]
fn all_of_groups_of_4_4_in_the_consumer_protocol() {
    groups_pass("4.4.0", &["-Dgroup.protocol=consumer"], &CONSUMER_PROTOCOL);
}

#[test]
#[ignore = "slow: make compat"]
fn all_of_groups_of_3_9() {
    groups_pass("3.9.1", &[], &[&SINCE_2_1[..], &SINCE_2_4].concat());
}

#[test]
#[ignore = "slow: make compat"]
fn all_of_groups_of_2_8() {
    groups_pass("2.8.2", &[], &[&SINCE_2_1[..], &SINCE_2_4].concat());
}

#[test]
#[ignore = "slow: make compat"]
fn all_of_groups_of_2_1() {
    groups_pass("2.1.1", &[], &SINCE_2_1);
}
