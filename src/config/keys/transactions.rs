//! Transactions.

use super::rows::broker_keys;
use crate::config::key::{ANY, Key, REPORTED, at_least};

pub(super) const KEYS: &[Key] = broker_keys! {
    Int "add.partitions.to.txn.retry.backoff.max.ms" = "100", at_least(0), ReadOnly, REPORTED;
        "How long in all the broker retries to add a partition to a transaction."
    Int "add.partitions.to.txn.retry.backoff.ms" = "20", at_least(1), ReadOnly, REPORTED;
        "How long the broker waits before it retries to add a partition to a transaction."
    Int "transaction.abort.timed.out.transaction.cleanup.interval.ms" = "10000", at_least(1), ReadOnly, REPORTED;
        "How often transactions past their timeout are looked for."
    Int "transaction.max.timeout.ms" = "900000", at_least(1), ReadOnly, REPORTED;
        "The longest transaction timeout a producer may ask for."
    Boolean "transaction.partition.verification.enable" = "true", ANY, ClusterWide, REPORTED;
        "Whether a transactional write is checked against its coordinator."
    Int "transaction.remove.expired.transaction.cleanup.interval.ms" = "3600000", at_least(1), ReadOnly, REPORTED;
        "How often expired transactional ids are removed."
    Int "transaction.state.log.load.buffer.size" = "5242880", at_least(1), ReadOnly, REPORTED;
        "How many bytes are read at a time when transaction state is loaded."
    Int "transaction.state.log.min.isr" = "2", at_least(1), ReadOnly, REPORTED;
        "How many in-sync replicas a write to the transaction topic needs."
    Int "transaction.state.log.num.partitions" = "50", at_least(1), ReadOnly, REPORTED;
        "How many partitions the transaction topic is created with."
    Short "transaction.state.log.replication.factor" = "3", at_least(1), ReadOnly, REPORTED;
        "How many replicas the transaction topic is created with."
    Int "transaction.state.log.segment.bytes" = "104857600", at_least(1), ReadOnly, REPORTED;
        "The segment size of the transaction topic."
    Boolean "transaction.two.phase.commit.enable" = "false", ANY, ReadOnly, REPORTED;
        "Whether producers may take part in two-phase commits of others."
    Int "transactional.id.expiration.ms" = "604800000", at_least(1), ReadOnly, REPORTED;
        "How long an unused transactional id is remembered."
};
