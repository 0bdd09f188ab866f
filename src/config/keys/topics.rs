//! Topics and the requests that touch them.

use super::rows::broker_keys;
use crate::config::key::{ANY, HONOURED, Key, REPORTED, at_least, refused};
use crate::config::reasons::POLICY;

pub(super) const KEYS: &[Key] = broker_keys! {
    Int "num.partitions" = "1", at_least(1), ReadOnly, HONOURED;
        "How many partitions a topic gets where its creator does not say."
    Int "default.replication.factor" = "1", ANY, ReadOnly, HONOURED;
        "How many replicas a partition gets where its creator does not say."
    Boolean "auto.create.topics.enable" = "true", ANY, ReadOnly, HONOURED;
        "Whether a topic comes into being when a client first asks for it."
    Boolean "delete.topic.enable" = "true", ANY, ReadOnly, HONOURED;
        "Whether topics can be deleted."
    Class "create.topic.policy.class.name" = null, ANY, ReadOnly, refused(POLICY);
        "A Java class that may refuse the creation of a topic."
    Class "alter.config.policy.class.name" = null, ANY, ReadOnly, refused(POLICY);
        "A Java class that may refuse a change of configuration."
    Int "max.request.partition.size.limit" = "2000", at_least(1), ReadOnly, HONOURED;
        "How many partitions one DescribeTopicPartitions response carries."
    Int "fetch.max.bytes" = "57671680", at_least(1_024), ReadOnly, HONOURED;
        "The most bytes one fetch response carries."
    Int "max.incremental.fetch.session.cache.slots" = "1000", at_least(0), ReadOnly, HONOURED;
        "How many incremental fetch sessions the broker remembers."
    Int "delete.records.purgatory.purge.interval.requests" = "1", ANY, ReadOnly, REPORTED;
        "How often Kafka sweeps its waiting DeleteRecords requests; Ottla has nothing to sweep."
    Int "fetch.purgatory.purge.interval.requests" = "1000", ANY, ReadOnly, REPORTED;
        "How often Kafka sweeps its waiting fetches; Ottla has nothing to sweep."
    Int "producer.purgatory.purge.interval.requests" = "1000", ANY, ReadOnly, REPORTED;
        "How often Kafka sweeps its waiting produce requests; Ottla has nothing to sweep."
    Int "share.fetch.purgatory.purge.interval.requests" = "1000", ANY, ReadOnly, REPORTED;
        "How often Kafka sweeps its waiting share fetches; Ottla has nothing to sweep."
};
