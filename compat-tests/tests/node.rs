//! Node clients: kafkajs, and @confluentinc/kafka-javascript in both group protocols.

use ottla_compat_tests::Node;
use ottla_compat_tests::suite::{CASES, QUICK_GROUPS, passes};
use ottla_compat_tests::tool::node_clients;

#[track_caller]
fn library_passes(library: &str) {
    passes(&mut Node::with(&QUICK_GROUPS), node_clients(library), &CASES);
}

#[test]
fn kafkajs() {
    library_passes("kafkajs");
}

// What follows is built from source where no build for this system can be fetched, and that takes minutes.

#[test]
#[ignore = "slow: make compat"]
fn kafka_javascript() {
    library_passes("kafka-javascript");
}

#[test]
#[ignore = "slow: make compat"]
fn kafka_javascript_in_the_consumer_protocol() {
    library_passes("kafka-javascript-consumer");
}
