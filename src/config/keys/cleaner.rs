//! The log cleaner.

use super::rows::broker_keys;
use crate::config::key::{ANY, HONOURED, Key, at_least, ratio};

pub(super) const KEYS: &[Key] = broker_keys! {
    Boolean "log.cleaner.enable" = "true", ANY, ReadOnly, HONOURED;
        "Whether compacted logs are cleaned at all."
    Int "log.cleaner.threads" = "1", at_least(0), ClusterWide, HONOURED;
        "How many threads clean compacted logs."
    Long "log.cleaner.backoff.ms" = "15000", at_least(0), ClusterWide, HONOURED;
        "How long a cleaner thread rests when nothing needs cleaning."
    Long "log.cleaner.dedupe.buffer.size" = "134217728", ANY, ClusterWide, HONOURED;
        "Memory for the cleaners' maps from key to offset."
    Long "log.cleaner.delete.retention.ms" = "86400000", at_least(0), ClusterWide, HONOURED;
        "How long compacted logs keep tombstones, where the topic does not say."
    Double "log.cleaner.io.buffer.load.factor" = "0.9", ANY, ClusterWide, HONOURED;
        "How full the cleaners' maps may become, 0 to 1."
    Int "log.cleaner.io.buffer.size" = "524288", at_least(0), ClusterWide, HONOURED;
        "Memory for the cleaners' reads and writes."
    Double "log.cleaner.io.max.bytes.per.second" = "1.7976931348623157E308", ANY, ClusterWide, HONOURED;
        "The rate that cleaning reads and writes together stay below."
    Long "log.cleaner.max.compaction.lag.ms" = "9223372036854775807", at_least(1), ClusterWide, HONOURED;
        "The longest time a record may wait before its segment becomes eligible for compaction."
    Double "log.cleaner.min.cleanable.ratio" = "0.5", ratio(0.0, 1.0), ClusterWide, HONOURED;
        "The share of uncompacted bytes at which a log becomes worth compacting."
    Long "log.cleaner.min.compaction.lag.ms" = "0", at_least(0), ClusterWide, HONOURED;
        "The shortest time a record stays uncompacted."
};
