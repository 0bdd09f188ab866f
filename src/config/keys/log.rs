//! Logs on disk: segments, retention, flushing, and the defaults of topics.

use super::rows::broker_keys;
use crate::config::key::{
    ANY, GZIP_LEVEL, HONOURED, Key, REPORTED, UNLIMITED_OR_POSITIVE, at_least, between, list_of, one_of, refused,
};
use crate::config::reasons::CORDONED;

pub(super) const KEYS: &[Key] = broker_keys! {
    List "log.dir" = "./ottla-data", ANY, ReadOnly, HONOURED;
        "Where logs are kept, if log.dirs is not set."
    List "log.dirs" = null, ANY, ReadOnly, HONOURED;
        "The directories where logs are kept, separated by commas."
    Int "log.segment.bytes" = "1073741824", at_least(1_048_576), ClusterWide, HONOURED;
        "The size at which a new segment is begun."
    Long "log.roll.ms" = null, at_least(1), ClusterWide, HONOURED;
        "The age at which a segment is closed even if it is not full; before log.roll.hours."
    Int "log.roll.hours" = "168", at_least(1), ReadOnly, HONOURED;
        "The age at which a segment is closed even if it is not full, in hours."
    Long "log.roll.jitter.ms" = null, at_least(0), ClusterWide, HONOURED;
        "The largest random time taken off the roll age; before log.roll.jitter.hours."
    Int "log.roll.jitter.hours" = "0", at_least(0), ReadOnly, HONOURED;
        "The largest random time taken off the roll age, in hours."
    Long "log.retention.ms" = null, UNLIMITED_OR_POSITIVE, ClusterWide, HONOURED;
        "How long a segment is kept after its newest record; before log.retention.minutes; -1 is forever."
    Int "log.retention.minutes" = null, UNLIMITED_OR_POSITIVE, ReadOnly, HONOURED;
        "How long a segment is kept after its newest record, in minutes; before log.retention.hours; -1 is forever."
    Int "log.retention.hours" = "168", UNLIMITED_OR_POSITIVE, ReadOnly, HONOURED;
        "How long a segment is kept after its newest record, in hours; -1 is forever."
    Long "log.retention.bytes" = "-1", ANY, ClusterWide, HONOURED;
        "How large a partition may grow before its oldest segments are deleted; -1 is unlimited."
    Long "log.retention.check.interval.ms" = "300000", at_least(1), ReadOnly, HONOURED;
        "How often logs are checked for segments to delete."
    List "log.cleanup.policy" = "delete", list_of(&["compact", "delete"]), ClusterWide, HONOURED;
        "What happens to old segments where the topic does not say: delete, compact or both."
    Int "log.index.interval.bytes" = "4096", at_least(0), ClusterWide, HONOURED;
        "How many bytes of log lie between two entries of the offset index."
    Int "log.index.size.max.bytes" = "10485760", at_least(4), ClusterWide, HONOURED;
        "The largest size of a segment's offset index."
    Boolean "log.preallocate" = "false", ANY, ClusterWide, REPORTED;
        "Whether a new segment file takes its full size on disk at once."
    Long "log.segment.delete.delay.ms" = "60000", at_least(0), ClusterWide, HONOURED;
        "How long the files of a removed segment stay on disk before they are unlinked."
    Boolean "log.flush.before.ack" = "true", ANY, ClusterWide, HONOURED;
        "Whether acks=all waits until the record is synced to disk; false trusts the page cache, as Kafka does."
    Long "log.flush.interval.messages" = "9223372036854775807", at_least(1), ClusterWide, HONOURED;
        "Sync a log at the latest after this many records."
    Long "log.flush.interval.ms" = null, ANY, ClusterWide, HONOURED;
        "Sync a log at the latest after this time; without it log.flush.scheduler.interval.ms counts."
    Long "log.flush.scheduler.interval.ms" = "9223372036854775807", ANY, ReadOnly, HONOURED;
        "How often Kafka looks for logs to sync; the sync interval where log.flush.interval.ms is not set."
    Int "log.flush.offset.checkpoint.interval.ms" = "60000", at_least(0), ReadOnly, HONOURED;
        "The longest time between two recovery point checkpoints; Ottla writes one every 5 seconds or 256 MiB."
    Int "log.flush.start.offset.checkpoint.interval.ms" = "60000", at_least(0), ReadOnly, HONOURED;
        "How often the log start offsets are written down."
    String "log.message.timestamp.type" = "CreateTime", one_of(&["CreateTime", "LogAppendTime"]),
        ClusterWide, HONOURED;
        "Whether records keep the producer's create time or get the broker's append time."
    Long "log.message.timestamp.before.max.ms" = "9223372036854775807", at_least(0), ClusterWide, HONOURED;
        "How far a record's create time may lie behind the broker's clock."
    Long "log.message.timestamp.after.max.ms" = "3600000", at_least(0), ClusterWide, HONOURED;
        "How far a record's create time may lie ahead of the broker's clock."
    Int "message.max.bytes" = "1048588", at_least(0), ClusterWide, HONOURED;
        "The largest record batch a topic accepts, where the topic does not say."
    String "compression.type" = "producer",
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide, HONOURED;
        "How batches are stored where the topic does not say; producer keeps what arrives."
    Int "compression.gzip.level" = "-1", GZIP_LEVEL, ClusterWide, HONOURED;
        "The gzip level used where compression.type is gzip."
    Int "compression.lz4.level" = "9", between(1, 17), ClusterWide, HONOURED;
        "The lz4 level used where compression.type is lz4."
    Int "compression.zstd.level" = "3", between(-131_072, 22), ClusterWide, HONOURED;
        "The zstd level used where compression.type is zstd."
    Int "min.insync.replicas" = "1", at_least(1), ClusterWide, HONOURED;
        "How many in-sync replicas an acks=all write needs, where the topic does not say."
    Boolean "unclean.leader.election.enable" = "false", ANY, ClusterWide, REPORTED;
        "Whether a replica outside the in-sync set may lead when nothing else is left, where the topic does not say."
    Int "num.recovery.threads.per.data.dir" = "2", at_least(1), ClusterWide, HONOURED;
        "How many threads recover the logs of one directory at start and flush them at stop."
    Int "num.replica.alter.log.dirs.threads" = null, ANY, ReadOnly, REPORTED;
        "How many threads move replicas between directories."
    Long "log.dir.failure.timeout.ms" = "30000", at_least(1), ReadOnly, REPORTED;
        "How long a failed directory may stay unreported before Kafka's broker stops."
    Long "log.initial.task.delay.ms" = "30000", at_least(0), ReadOnly, REPORTED, internal;
        "How long Kafka waits before the first round of its log tasks."
    List "cordoned.log.dirs" = "", ANY, PerBroker, refused(CORDONED);
        "Directories that take no new partitions."
    Long "log.scrub.bytes.per.second" = "0", at_least(0), ClusterWide, HONOURED;
        "How fast a background thread reads the logs to compare their checksums; 0 is not at all."
    Int "producer.id.expiration.ms" = "86400000", at_least(1), ClusterWide, HONOURED;
        "How long an idle producer's sequence state is kept."
    Int "producer.id.expiration.check.interval.ms" = "600000", at_least(1), ReadOnly, HONOURED, internal;
        "How often idle producers are looked for."
};
