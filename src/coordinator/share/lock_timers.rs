//! When the locks of share partitions run out.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::records::ShareKey;

/// Deadlines of share partitions, earliest first. A deadline may be of locks that are gone by then: who looks at it finds
/// out.
#[derive(Debug, Default)]
pub(super) struct LockTimers {
    deadlines: Mutex<BTreeSet<(Duration, ShareKey)>>,
    earlier: Notify,
}

impl LockTimers {
    pub(super) fn set(&self, deadline: Duration, key: ShareKey) {
        let mut deadlines = self.deadlines.lock();
        let is_first = deadlines.first().is_none_or(|(first, _)| deadline < *first);
        deadlines.insert((deadline, key));
        drop(deadlines);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Takes a deadline that has passed.
    pub(super) fn pop_due(&self, now: Duration) -> Option<(Duration, ShareKey)> {
        let mut deadlines = self.deadlines.lock();
        if deadlines.first()?.0 > now {
            return None;
        }
        deadlines.pop_first()
    }

    /// Returns when a deadline has passed, or there is an earlier one.
    pub(super) async fn wait(&self, now: Duration) {
        let next = self.deadlines.lock().first().map(|(deadline, _)| *deadline);
        match next {
            Some(next) => {
                let _woken = tokio::time::timeout(next.saturating_sub(now), self.earlier.notified()).await;
            }
            None => self.earlier.notified().await,
        }
    }
}
