//! Deadlines by key. They fire only when asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::decision::Timer;

#[derive(Debug)]
pub(super) struct Timers<K> {
    by_key: BTreeMap<K, Duration>,
    by_deadline: BTreeSet<(Duration, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_deadline: BTreeSet::new() }
    }
}

impl<K: Clone + Ord> Timers<K> {
    pub(super) fn set(&mut self, timer: Timer<K>) {
        if let Some(old) = self.by_key.remove(&timer.key) {
            self.by_deadline.remove(&(old, timer.key.clone()));
        }
        if let Some(deadline) = timer.deadline {
            self.by_key.insert(timer.key.clone(), deadline);
            self.by_deadline.insert((deadline, timer.key));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes a timer whose deadline has passed.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<K> {
        if self.next_deadline()? > now {
            return None;
        }
        let (_, key) = self.by_deadline.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_once_in_order_and_move() {
        let at = Duration::from_secs;
        let mut timers = Timers::default();
        timers.set(Timer::at("a", at(5)));
        timers.set(Timer::at("b", at(3)));
        timers.set(Timer::at("c", at(4)));
        timers.set(Timer::at("b", at(6)));
        timers.set(Timer::cancelled("c"));
        assert_eq!(timers.next_deadline(), Some(at(5)));
        assert_eq!(timers.pop_due(at(4)), None);
        assert_eq!(timers.pop_due(at(10)), Some("a"));
        assert_eq!(timers.pop_due(at(10)), Some("b"));
        assert_eq!(timers.pop_due(at(10)), None);
        assert!(timers.by_key.is_empty());
    }
}
