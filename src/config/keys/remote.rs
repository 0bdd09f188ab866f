//! Remote (tiered) storage.

use super::rows::broker_keys;
use crate::config::key::{ANY, Key, NON_EMPTY, REPORTED, at_least, ratio, refused};
use crate::config::reasons::TIERED_STORAGE;

pub(super) const KEYS: &[Key] = broker_keys! {
    Boolean "remote.log.storage.system.enable" = "false", ANY, ReadOnly, refused(TIERED_STORAGE);
        "Whether the broker offers remote (tiered) storage."
    Long "log.local.retention.bytes" = "-2", at_least(-2), ClusterWide, REPORTED;
        "How many bytes of a tiered partition stay on local disk; -2 follows log.retention.bytes."
    Long "log.local.retention.ms" = "-2", at_least(-2), ClusterWide, REPORTED;
        "How long segments of a tiered partition stay on local disk; -2 follows log.retention.ms."
    Int "remote.fetch.max.wait.ms" = "500", at_least(1), ClusterWide, REPORTED;
        "How long a fetch waits for the remote tier."
    Long "remote.list.offsets.request.timeout.ms" = "30000", at_least(1), ClusterWide, REPORTED;
        "How long a search by timestamp waits for the remote tier."
    Long "remote.log.index.file.cache.total.size.bytes" = "1073741824", at_least(1), ClusterWide, REPORTED;
        "Disk space for indexes fetched from the remote tier."
    Long "remote.log.index.file.cache.ttl.ms" = "900000", at_least(-1), ReadOnly, REPORTED, internal;
        "How long an unused index of the remote tier stays cached."
    Int "remote.log.manager.copier.thread.pool.size" = "10", at_least(1), ClusterWide, REPORTED;
        "Threads that copy segments to the remote tier."
    Long "remote.log.manager.copy.max.bytes.per.second" = "9223372036854775807", at_least(1), ClusterWide, REPORTED;
        "The rate of copies to the remote tier."
    Int "remote.log.manager.copy.quota.window.num" = "11", at_least(1), ReadOnly, REPORTED;
        "How many windows the copy rate is measured over."
    Int "remote.log.manager.copy.quota.window.size.seconds" = "1", at_least(1), ReadOnly, REPORTED;
        "How long one window of the copy rate lasts."
    Int "remote.log.manager.expiration.thread.pool.size" = "10", at_least(1), ClusterWide, REPORTED;
        "Threads that delete expired segments of the remote tier."
    Long "remote.log.manager.fetch.max.bytes.per.second" = "9223372036854775807", at_least(1), ClusterWide, REPORTED;
        "The rate of fetches from the remote tier."
    Int "remote.log.manager.fetch.quota.window.num" = "11", at_least(1), ReadOnly, REPORTED;
        "How many windows the fetch rate is measured over."
    Int "remote.log.manager.fetch.quota.window.size.seconds" = "1", at_least(1), ReadOnly, REPORTED;
        "How long one window of the fetch rate lasts."
    Int "remote.log.manager.follower.thread.pool.size" = "2", at_least(1), ClusterWide, REPORTED;
        "Threads with which followers look up uploaded offsets."
    Long "remote.log.manager.task.interval.ms" = "30000", at_least(1), ReadOnly, REPORTED;
        "How often the tasks of the remote tier run."
    Long "remote.log.manager.task.retry.backoff.max.ms" = "30000", at_least(1), ReadOnly, REPORTED, internal;
        "The longest pause before a task of the remote tier runs again after a failure."
    Long "remote.log.manager.task.retry.backoff.ms" = "500", at_least(1), ReadOnly, REPORTED, internal;
        "The first pause before a task of the remote tier runs again after a failure."
    Double "remote.log.manager.task.retry.jitter" = "0.2", ratio(0.0, 0.5), ReadOnly, REPORTED, internal;
        "How random the pauses between those retries are."
    Int "remote.log.manager.thread.pool.size" = "2", at_least(1), ReadOnly, REPORTED;
        "The older name of remote.log.manager.follower.thread.pool.size."
    Int "remote.log.metadata.custom.metadata.max.bytes" = "128", at_least(0), ReadOnly, REPORTED;
        "How many bytes of its own metadata a storage plugin may return."
    String "remote.log.metadata.manager.class.name" =
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        NON_EMPTY, ReadOnly, REPORTED;
        "The Java class that keeps the remote tier's metadata."
    String "remote.log.metadata.manager.class.path" = null, ANY, ReadOnly, REPORTED;
        "Where Kafka finds that class."
    String "remote.log.metadata.manager.impl.prefix" = "rlmm.config.", NON_EMPTY, ReadOnly, REPORTED;
        "The prefix of that class's own settings."
    String "remote.log.metadata.manager.listener.name" = null, NON_EMPTY, ReadOnly, REPORTED;
        "The listener that class connects to."
    Int "remote.log.reader.max.pending.tasks" = "100", at_least(1), ReadOnly, REPORTED;
        "How many reads of the remote tier may wait."
    Int "remote.log.reader.threads" = "10", at_least(1), ClusterWide, REPORTED;
        "Threads that read the remote tier."
    String "remote.log.storage.manager.class.name" = null, NON_EMPTY, ReadOnly, REPORTED;
        "The Java class that stores segments remotely."
    String "remote.log.storage.manager.class.path" = null, ANY, ReadOnly, REPORTED;
        "Where Kafka finds that class."
    String "remote.log.storage.manager.impl.prefix" = "rsm.config.", NON_EMPTY, ReadOnly, REPORTED;
        "The prefix of that class's own settings."
};
