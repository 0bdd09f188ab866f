//! What tests elsewhere ask of the cleaner.

use std::sync::Arc;

use super::super::log_manager::LogManager;
use super::offset_map::SLOT_BYTES;
use super::registry::Registry;
use super::round::{Pacer, Round, RoundError, RoundLimits};
use crate::ids::{Offset, TopicPartition};
use crate::time::Clock;

/// Lets a round run as fast as it can.
pub(super) struct Unhurried;

impl Pacer for Unhurried {
    fn moved(&self, _bytes: u64) -> bool {
        true
    }
}

/// One round over the dirtiest log, on the caller's thread, with a map for so many keys: up to where that log is clean
/// now; `None`: the round was not completed, or there was nothing to do.
pub(in crate::log) fn clean_one(
    logs: &Arc<LogManager>,
    clock: &Arc<dyn Clock>,
    keys: u64,
) -> Option<(TopicPartition, Offset)> {
    let registry = Registry::new(Arc::clone(logs), Arc::clone(clock));
    let task = registry.choose()?;
    let limits = RoundLimits { map_bytes: keys * SLOT_BYTES, load_factor: 0.9, buffer_bytes: 700, hash_seed: 1 };
    match Round::new(&task.log, task.history, task.range, limits, &Unhurried, &**clock).run() {
        Ok((end_offset, _)) => {
            registry.finished(&task, end_offset);
            Some((task.log.topic_partition().clone(), end_offset))
        }
        Err(RoundError::Stopped) => unreachable!("nobody stops it"),
        Err(RoundError::Changed | RoundError::Segment { .. }) => None,
    }
}
