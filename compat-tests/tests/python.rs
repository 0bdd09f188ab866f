//! Python clients: confluent-kafka in both group protocols, aiokafka, kafka-python.

use ottla_compat_tests::Node;
use ottla_compat_tests::suite::{CASES, QUICK_GROUPS, passes};
use ottla_compat_tests::tool::python_clients;

#[track_caller]
fn library_passes(library: &str) {
    passes(&mut Node::with(&QUICK_GROUPS), python_clients(library), &CASES);
}

#[test]
fn confluent_kafka() {
    library_passes("confluent-kafka");
}

#[test]
fn confluent_kafka_in_the_consumer_protocol() {
    library_passes("confluent-kafka-consumer");
}

#[test]
fn aiokafka() {
    library_passes("aiokafka");
}

#[test]
fn kafka_python() {
    library_passes("kafka-python");
}
