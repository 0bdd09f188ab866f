//! Who is told when a partition has news: fetches that wait, and fetch sessions between two fetches.

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The partitions of one fetch or fetch session that have news, by the slot the fetch gave them.
///
/// A partition marks its slot; the fetch takes the marks. So the cost of waiting does not grow with the number of
/// partitions that are quiet.
#[derive(Debug, Default)]
pub struct ReadySet {
    marks: Mutex<Marks>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Marks {
    /// In the order of the news; at most once each.
    slots: Vec<usize>,
    marked: Vec<bool>,
}

impl ReadySet {
    /// Notes that the partition of `slot` has news, and wakes the one who waits.
    pub fn mark(&self, slot: usize) {
        let mut marks = self.marks.lock();
        if marks.marked.len() <= slot {
            marks.marked.resize(slot + 1, false);
        }
        if !std::mem::replace(&mut marks.marked[slot], true) {
            marks.slots.push(slot);
        }
        drop(marks);
        self.news.notify_one();
    }

    /// Takes every mark, oldest first.
    pub fn take(&self) -> Vec<usize> {
        let mut marks = self.marks.lock();
        let slots = std::mem::take(&mut marks.slots);
        for &slot in &slots {
            marks.marked[slot] = false;
        }
        slots
    }

    /// Returns once there was a mark since the last wait; the set may have been taken meanwhile.
    pub async fn wait(&self) {
        self.news.notified().await;
    }
}

/// The watchers of one partition.
#[derive(Debug, Default)]
pub struct Watchers {
    count: AtomicUsize,
    list: Mutex<Vec<(Weak<ReadySet>, usize)>>,
}

impl Watchers {
    /// From now on marks `slot` of `set` on news, for as long as the set lives.
    pub fn add(&self, set: &Arc<ReadySet>, slot: usize) {
        let mut list = self.list.lock();
        if list.len() == list.capacity() {
            // Those who left are dropped before the list grows, so that a partition without news does not collect them.
            list.retain(|(watcher, _)| watcher.strong_count() > 0);
            let alive = list.len();
            list.reserve(alive + 1);
        }
        list.push((Arc::downgrade(set), slot));
        self.count.store(list.len(), Ordering::Release);
        // Who adds itself and then looks, and who publishes and then notifies, must not both miss the other.
        fence(Ordering::SeqCst);
    }

    /// No longer marks `slot` of `set`.
    pub fn remove(&self, set: &Arc<ReadySet>, slot: usize) {
        let mut list = self.list.lock();
        list.retain(|(watcher, at)| !(*at == slot && std::ptr::eq(watcher.as_ptr(), Arc::as_ptr(set))));
        self.count.store(list.len(), Ordering::Release);
    }

    /// Tells all who watch.
    pub fn notify(&self) {
        // Most partitions have no watcher at most times: one load instead of a lock.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut list = self.list.lock();
        list.retain(|(watcher, slot)| {
            let watcher = watcher.upgrade();
            if let Some(set) = &watcher {
                set.mark(*slot);
            }
            watcher.is_some()
        });
        self.count.store(list.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_once_in_order() {
        let set = Arc::new(ReadySet::default());
        let watchers = Watchers::default();
        watchers.add(&set, 3);
        watchers.add(&set, 1);
        watchers.notify();
        watchers.notify();
        assert_eq!(set.take(), [3, 1]);
        assert_eq!(set.take(), [0_usize; 0]);
        watchers.remove(&set, 3);
        watchers.notify();
        assert_eq!(set.take(), [1]);
    }

    #[test]
    fn a_dropped_set_is_forgotten() {
        let set = Arc::new(ReadySet::default());
        let watchers = Watchers::default();
        watchers.add(&set, 0);
        drop(set);
        watchers.notify();
        assert_eq!(watchers.count.load(Ordering::Acquire), 0);
    }

    #[test]
    fn a_partition_without_news_does_not_collect_those_who_left() {
        let (stays, watchers) = (Arc::new(ReadySet::default()), Watchers::default());
        watchers.add(&stays, 0);
        for slot in 0..1000 {
            watchers.add(&Arc::new(ReadySet::default()), slot);
        }
        assert!(watchers.list.lock().len() < 10);
        watchers.notify();
        assert_eq!(stays.take(), [0]);
    }

    #[tokio::test]
    async fn a_mark_before_the_wait_is_not_lost() {
        let set = ReadySet::default();
        set.mark(0);
        set.wait().await;
        assert_eq!(set.take(), [0]);
    }
}
