//! Go clients: franz-go in both group protocols, Sarama, kafka-go.

use ottla_compat_tests::Node;
use ottla_compat_tests::suite::{CASES, QUICK_GROUPS, passes};
use ottla_compat_tests::tool::go_clients;

#[track_caller]
fn library_passes(library: &str) {
    passes(&mut Node::with(&QUICK_GROUPS), go_clients(library), &CASES);
}

#[test]
fn franz_go() {
    library_passes("franz-go");
}

#[test]
fn franz_go_in_the_consumer_protocol() {
    library_passes("franz-go-consumer");
}

#[test]
fn sarama() {
    library_passes("sarama");
}

#[test]
fn kafka_go() {
    library_passes("kafka-go");
}
