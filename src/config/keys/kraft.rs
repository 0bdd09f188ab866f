//! Kafka's controller and its quorum, which the metadata store replaces.

use super::rows::broker_keys;
use crate::config::key::{ANY, Key, REPORTED, at_least, replaced};
use crate::config::reasons::QUORUM;

pub(super) const KEYS: &[Key] = broker_keys! {
    Long "controller.performance.always.log.threshold.ms" = "2000", at_least(0), ReadOnly, REPORTED, internal;
        "Kafka logs events of its controller that take longer than this."
    Long "controller.performance.sample.period.ms" = "60000", at_least(100), ReadOnly, REPORTED, internal;
        "How often Kafka logs its controller's timings."
    Int "controller.quorum.append.linger.ms" = "25", at_least(0), ReadOnly, replaced(QUORUM);
        "How long a KRaft leader gathers writes."
    Boolean "controller.quorum.auto.join.enable" = "false", ANY, ReadOnly, replaced(QUORUM);
        "Whether a KRaft controller joins the voters by itself."
    List "controller.quorum.bootstrap.servers" = "", ANY, ReadOnly, replaced(QUORUM);
        "Where a KRaft node finds the controllers."
    Int "controller.quorum.election.backoff.max.ms" = "1000", at_least(0), ReadOnly, replaced(QUORUM);
        "The longest pause between two KRaft elections."
    Int "controller.quorum.election.timeout.ms" = "1000", at_least(0), ReadOnly, replaced(QUORUM);
        "How long a KRaft voter waits for its leader before an election."
    Int "controller.quorum.fetch.max.bytes" = "1048576", at_least(1), ReadOnly, replaced(QUORUM);
        "How many bytes a KRaft node fetches at a time."
    Int "controller.quorum.fetch.snapshot.max.bytes" = "1048576", at_least(1), ReadOnly, replaced(QUORUM);
        "How many bytes of a snapshot a KRaft node fetches at a time."
    Int "controller.quorum.fetch.timeout.ms" = "2000", at_least(0), ReadOnly, replaced(QUORUM);
        "How long a KRaft node may go without a successful fetch."
    Int "controller.quorum.request.timeout.ms" = "2000", at_least(0), ReadOnly, replaced(QUORUM);
        "How long a KRaft node waits for an answer."
    Int "controller.quorum.retry.backoff.ms" = "20", at_least(0), ReadOnly, replaced(QUORUM);
        "How long a KRaft node waits before it tries again."
    List "controller.quorum.voters" = "", ANY, ReadOnly, replaced(QUORUM);
        "The voters of a KRaft quorum."
    Int "controller.socket.timeout.ms" = "30000", ANY, ReadOnly, REPORTED;
        "How long Kafka's controller waits on a broker's socket."
};
