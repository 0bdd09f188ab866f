//! What all logs together remember of producers: for how long, and how much.
//!
//! Ids are the clients' to choose and a log remembers each for a day, so time alone bounds nothing. One log forgets the
//! longest idle ones beyond [`ProducerStateConfig::max_producers`]; where all logs together have too many, those with the
//! most give way. Who is forgotten goes on: an unknown producer may begin with any sequence (KIP-360). It only loses the
//! memory of its last five batches, should it send one of them twice.
//!
//! [`ProducerStateConfig::max_producers`]: super::super::producer_state::ProducerStateConfig::max_producers

use std::sync::atomic::Ordering;

use super::LogManager;
use crate::time::TimestampMs;

/// In all logs together: at about 200 bytes each, 200 MiB.
const MAX_PRODUCERS: usize = 1_000_000;
/// How many are left once there were too many.
const LEFT_PRODUCERS: usize = MAX_PRODUCERS / 16 * 15;

impl LogManager {
    /// `producer.id.expiration.ms`, where it has changed: for the logs that are there and those that are yet to be made.
    pub fn set_producer_expiration_ms(&self, expiration_ms: i64) {
        // No log comes to be with the old value meanwhile.
        let _one_change_at_a_time = self.changes.lock();
        self.producer_expiration_ms.store(expiration_ms, Ordering::Relaxed);
        self.logs().iter().for_each(|log| log.set_producer_expiration_ms(expiration_ms));
    }

    /// Forgets the producers that were idle beyond `producer.id.expiration.ms`.
    pub fn expire_producers(&self, now_ms: TimestampMs) {
        self.online_logs().for_each(|log| log.remove_expired_producers(now_ms));
    }

    /// Forgets producers where there are too many of them; to be called every second or so. Says how many went.
    pub fn bound_producers(&self) -> usize {
        self.bound_producers_to(MAX_PRODUCERS, LEFT_PRODUCERS)
    }

    fn bound_producers_to(&self, limit: usize, left: usize) -> usize {
        let logs = self.logs();
        let counts: Vec<_> = logs.iter().map(|log| log.producer_count()).collect();
        if counts.iter().sum::<usize>() <= limit {
            return 0;
        }
        let share = fair_share(&counts, left);
        let forgotten = logs.iter().map(|log| log.forget_idlest_producers(share)).sum();
        tracing::warn!(forgotten, share, "too many producers are remembered: the longest idle ones are forgotten");
        forgotten
    }
}

/// The most that each may keep, so that all together keep no more than `total`.
fn fair_share(counts: &[usize], total: usize) -> usize {
    let mut ascending = counts.to_vec();
    ascending.sort_unstable();
    let mut left = total;
    for (at, count) in ascending.iter().enumerate() {
        let share = left / (ascending.len() - at);
        if *count > share {
            return share;
        }
        left -= count;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn those_with_most_give_way() {
        assert_eq!(fair_share(&[5, 5, 90], 40), 30);
        assert_eq!(fair_share(&[10, 90, 90], 70), 30);
        assert_eq!(fair_share(&[10, 10], 20), usize::MAX);
        assert_eq!(fair_share(&[7, 7, 7], 2), 0);
        assert_eq!(fair_share(&[], 2), usize::MAX);
    }

    proptest! {
        #[test]
        fn a_share_is_as_large_as_it_can_be(counts in prop::collection::vec(0..50_usize, 0..20), total in 0..500_usize) {
            let kept = |share: usize| counts.iter().map(|count| *count.min(&share)).sum::<usize>();
            let share = fair_share(&counts, total);
            prop_assert!(kept(share) <= total);
            prop_assert!(share == usize::MAX || kept(share + 1) > total);
        }
    }
}
