//! The configuration of one topic.

use super::rows::resource_keys;
use crate::config::key::{
    ANY, GZIP_LEVEL, HONOURED, Key, REPORTED, THROTTLED_REPLICAS, at_least, between, list_of, one_of, ratio, refused,
};
use crate::config::reasons::TIERED_STORAGE;

pub(super) const KEYS: &[Key] = resource_keys! { Topic;
    List "cleanup.policy" = "delete", list_of(&["compact", "delete"]), HONOURED, from ["log.cleanup.policy"];
        "What happens to old segments: delete drops them by age or size, compact keeps the newest value of each key."
    Int "compression.gzip.level" = "-1", GZIP_LEVEL, HONOURED, from ["compression.gzip.level"];
        "The gzip level used when the topic's compression.type is gzip; -1 is the codec's own default."
    Int "compression.lz4.level" = "9", between(1, 17), HONOURED, from ["compression.lz4.level"];
        "The lz4 level used when the topic's compression.type is lz4."
    String "compression.type" = "producer",
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), HONOURED, from ["compression.type"];
        "How batches are stored: producer keeps what arrives as it is, any other value recompresses to that codec."
    Int "compression.zstd.level" = "3", between(-131_072, 22), HONOURED, from ["compression.zstd.level"];
        "The zstd level used when the topic's compression.type is zstd."
    Long "delete.retention.ms" = "86400000", at_least(0), HONOURED, from ["log.cleaner.delete.retention.ms"];
        "How long a compacted topic keeps a tombstone, so that a reader from the start still sees the deletion."
    Long "file.delete.delay.ms" = "60000", at_least(0), HONOURED, from ["log.segment.delete.delay.ms"];
        "How long the files of a removed segment stay on disk before they are unlinked."
    Boolean "flush.before.ack" = "true", ANY, HONOURED, from ["log.flush.before.ack"];
        "Whether acks=all waits until the record is synced to disk; false trusts the page cache, as Kafka does."
    Long "flush.messages" = "9223372036854775807", at_least(1), HONOURED, from ["log.flush.interval.messages"];
        "Sync the log at the latest after this many records."
    Long "flush.ms" = "9223372036854775807", at_least(0), HONOURED,
        from ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
        "Sync the log at the latest after this time."
    List "follower.replication.throttled.replicas" = "", THROTTLED_REPLICAS, REPORTED, from [];
        "Replicas whose followers are throttled: partition:broker pairs, or * for all."
    Int "index.interval.bytes" = "4096", at_least(0), HONOURED, from ["log.index.interval.bytes"];
        "How many bytes of log lie between two entries of the offset index."
    Int "internal.segment.bytes" = null, ANY, HONOURED, from [] internal;
        "A segment size that may lie below the normal minimum; set, it replaces segment.bytes. Meant for tests."
    List "leader.replication.throttled.replicas" = "", THROTTLED_REPLICAS, REPORTED, from [];
        "Replicas whose leaders are throttled: partition:broker pairs, or * for all."
    Long "local.retention.bytes" = "-2", at_least(-2), REPORTED, from ["log.local.retention.bytes"];
        "How many bytes stay on local disk once a segment is in the remote tier; -2 follows retention.bytes."
    Long "local.retention.ms" = "-2", at_least(-2), REPORTED, from ["log.local.retention.ms"];
        "How long a segment stays on local disk once it is in the remote tier; -2 follows retention.ms."
    Long "max.compaction.lag.ms" = "9223372036854775807", at_least(1), HONOURED,
        from ["log.cleaner.max.compaction.lag.ms"];
        "The longest time a record may wait before its segment becomes eligible for compaction."
    Int "max.message.bytes" = "1048588", at_least(0), HONOURED, from ["message.max.bytes"];
        "The largest record batch the topic accepts, as it is stored."
    Long "message.timestamp.after.max.ms" = "3600000", at_least(0), HONOURED,
        from ["log.message.timestamp.after.max.ms"];
        "How far a record's create time may lie ahead of the broker's clock."
    Long "message.timestamp.before.max.ms" = "9223372036854775807", at_least(0), HONOURED,
        from ["log.message.timestamp.before.max.ms"];
        "How far a record's create time may lie behind the broker's clock."
    String "message.timestamp.type" = "CreateTime", one_of(&["CreateTime", "LogAppendTime"]),
        HONOURED, from ["log.message.timestamp.type"];
        "Whether records keep the producer's create time or get the broker's append time."
    Double "min.cleanable.dirty.ratio" = "0.5", ratio(0.0, 1.0), HONOURED, from ["log.cleaner.min.cleanable.ratio"];
        "The share of uncompacted bytes at which a log becomes worth compacting."
    Long "min.compaction.lag.ms" = "0", at_least(0), HONOURED, from ["log.cleaner.min.compaction.lag.ms"];
        "The shortest time a record stays uncompacted."
    Int "min.insync.replicas" = "1", at_least(1), HONOURED, from ["min.insync.replicas"];
        "How many in-sync replicas an acks=all write needs."
    Boolean "preallocate" = "false", ANY, REPORTED, from ["log.preallocate"];
        "Whether a new segment file takes its full size on disk at once."
    Boolean "remote.log.copy.disable" = "false", ANY, REPORTED, from [];
        "Whether a tiered topic stops uploading and its remote part becomes read-only."
    Boolean "remote.log.delete.on.disable" = "false", ANY, REPORTED, from [];
        "Whether remote data is deleted when tiering is switched off for the topic."
    Boolean "remote.storage.enable" = "false", ANY, refused(TIERED_STORAGE), from [];
        "Whether segments of the topic move to remote storage."
    Long "retention.bytes" = "-1", ANY, HONOURED, from ["log.retention.bytes"];
        "How large a partition may grow before its oldest segments are deleted; -1 is unlimited."
    Long "retention.ms" = "604800000", at_least(-1), HONOURED,
        from ["log.retention.ms", "log.retention.minutes" * 60_000, "log.retention.hours" * 3_600_000];
        "How long a segment is kept after its newest record; -1 is forever."
    Int "segment.bytes" = "1073741824", at_least(1_048_576), HONOURED, from ["log.segment.bytes"];
        "The size at which a new segment is begun."
    Int "segment.index.bytes" = "10485760", at_least(4), HONOURED, from ["log.index.size.max.bytes"];
        "The largest size of a segment's offset index; a full index begins a new segment."
    Long "segment.jitter.ms" = "0", at_least(0), HONOURED,
        from ["log.roll.jitter.ms", "log.roll.jitter.hours" * 3_600_000];
        "The largest random time taken off segment.ms, so that partitions do not all roll at once."
    Long "segment.ms" = "604800000", at_least(1), HONOURED, from ["log.roll.ms", "log.roll.hours" * 3_600_000];
        "The age at which a segment is closed even if it is not full."
    Boolean "unclean.leader.election.enable" = "false", ANY, REPORTED, from ["unclean.leader.election.enable"];
        "Whether a replica outside the in-sync set may lead when nothing else is left, at the price of lost records."
};
