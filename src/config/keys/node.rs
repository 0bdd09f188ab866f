//! The node itself, and what Kafka asks of a KRaft process.

use super::rows::broker_keys;
use crate::config::key::{ANY, HONOURED, Key, REPORTED, at_least, list_of, one_of, replaced};
use crate::config::reasons::{METADATA_STORE, METRICS, ROLES};

pub(super) const KEYS: &[Key] = broker_keys! {
    Int "node.id" = "1", at_least(0), ReadOnly, HONOURED;
        "The number of this broker in the cluster."
    Int "broker.id" = "1", at_least(0), ReadOnly, HONOURED;
        "The older name of node.id; if both are set they must agree."
    String "broker.rack" = null, ANY, ReadOnly, HONOURED;
        "Where this broker stands; clients that read from the nearest replica compare it."
    List "process.roles" = "broker,controller", list_of(&["broker", "controller"]), ReadOnly, replaced(ROLES);
        "The roles Kafka gives a KRaft process; every Ottla node serves clients and can take the controller's part."
    String "metadata" = "embedded", one_of(&["embedded", "memory"]), ReadOnly, HONOURED;
        "Where topics, configurations and ids are kept: embedded (a file beside the logs) or memory (gone at exit)."
    Int "broker.heartbeat.interval.ms" = "2000", ANY, ReadOnly, REPORTED;
        "How often a broker renews its registration."
    Int "broker.session.timeout.ms" = "9000", ANY, ReadOnly, REPORTED;
        "How long a broker that no longer renews its registration counts as alive."
    Int "initial.broker.registration.timeout.ms" = "60000", ANY, ReadOnly, REPORTED;
        "How long a starting broker tries to register before it gives up."
    Boolean "controlled.shutdown.enable" = "true", ANY, ReadOnly, REPORTED;
        "Whether a stopping broker hands its leaderships over first."
    Int "background.threads" = "10", at_least(1), ClusterWide, REPORTED;
        "Threads for work in the background; Ottla sizes its own pools."
    Int "num.io.threads" = "8", at_least(1), ClusterWide, REPORTED;
        "Threads that process requests; Ottla runs one worker per core instead."
    Int "num.network.threads" = "3", at_least(1), ClusterWide, REPORTED;
        "Threads that read and write sockets; Ottla runs one worker per core instead."
    Int "request.timeout.ms" = "30000", ANY, ReadOnly, HONOURED;
        "How long the broker waits for an answer to a request of its own."
    Long "server.max.startup.time.ms" = "9223372036854775807", at_least(0), ReadOnly, REPORTED, internal;
        "The longest start that Kafka's tests allow."
    String "metadata.log.dir" = null, ANY, ReadOnly, replaced(METADATA_STORE);
        "The directory of Kafka's metadata log."
    Long "metadata.log.max.record.bytes.between.snapshots" = "20971520", at_least(1), ReadOnly,
        replaced(METADATA_STORE);
        "Bytes of Kafka's metadata log between two snapshots."
    Long "metadata.log.max.snapshot.interval.ms" = "3600000", at_least(0), ReadOnly, replaced(METADATA_STORE);
        "The longest time between two snapshots of Kafka's metadata log."
    Int "metadata.log.segment.bytes" = "1073741824", at_least(8_388_608), ReadOnly, replaced(METADATA_STORE);
        "The segment size of Kafka's metadata log."
    Long "metadata.log.segment.ms" = "604800000", ANY, ReadOnly, replaced(METADATA_STORE);
        "The age at which Kafka's metadata log begins a new segment."
    Int "metadata.max.idle.interval.ms" = "500", at_least(0), ReadOnly, replaced(METADATA_STORE);
        "How often an idle KRaft controller writes an empty record."
    Long "metadata.max.retention.bytes" = "104857600", ANY, ReadOnly, replaced(METADATA_STORE);
        "How large Kafka's metadata log and its snapshots may grow."
    Long "metadata.max.retention.ms" = "604800000", ANY, ReadOnly, replaced(METADATA_STORE);
        "How long Kafka's metadata log and its snapshots are kept."
    Long "internal.metadata.delete.delay.millis" = "60000", ANY, ReadOnly, replaced(METADATA_STORE), internal;
        "A test setting of Kafka's metadata log."
    Int "internal.metadata.log.segment.bytes" = null, ANY, ReadOnly, replaced(METADATA_STORE), internal;
        "A test setting of Kafka's metadata log."
    Int "internal.metadata.max.batch.size.in.bytes" = "8388608", ANY, ReadOnly, replaced(METADATA_STORE), internal;
        "A test setting of Kafka's metadata log."
    List "metric.reporters" = "org.apache.kafka.common.metrics.JmxReporter", ANY, ClusterWide, replaced(METRICS);
        "Java classes that Kafka hands its metrics to."
    List "kafka.metrics.reporters" = "", ANY, ReadOnly, replaced(METRICS);
        "Java classes that Kafka hands its older metrics to."
    Int "kafka.metrics.polling.interval.secs" = "10", at_least(1), ReadOnly, replaced(METRICS);
        "How often Kafka's metric reporters poll."
    Int "metrics.num.samples" = "2", at_least(1), ReadOnly, REPORTED;
        "How many samples Kafka's metrics average over."
    String "metrics.recording.level" = "INFO", ANY, ReadOnly, REPORTED;
        "How detailed Kafka's own metrics are."
    Long "metrics.sample.window.ms" = "30000", at_least(1), ReadOnly, REPORTED;
        "How long one sample of Kafka's metrics lasts."
    Int "telemetry.max.bytes" = "1048576", at_least(1), ReadOnly, HONOURED;
        "The largest compressed metrics push accepted from a client (KIP-714)."
    Boolean "unstable.api.versions.enable" = "false", ANY, ReadOnly, REPORTED, internal;
        "Whether API versions still under development are offered; Ottla never offers them."
    Boolean "unstable.feature.versions.enable" = "false", ANY, ReadOnly, REPORTED, internal;
        "Whether feature versions still under development are offered; Ottla never offers them."
};
