//! Fetch sessions (KIP-227): the partitions of a fetch kept between two fetches, so that a request names only what
//! changed and a response carries only what is new.
//!
//! A session also keeps its watches: a partition with news marks its slot, and only marked or changed slots are looked
//! at. So a fetch over ten thousand quiet partitions costs as much as one over none. A fetch without a session is a
//! session that lives for one request.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;

use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName};
use crate::metrics::Counter;
use crate::replication::Partition;
use crate::replication::watch::ReadySet;

/// Partitions in all sessions together, a few hundred bytes each.
const MAX_TOTAL_PARTITIONS: usize = 300_000;
/// A session may be evicted for another once it was idle this long.
const EVICTION_AGE: Duration = Duration::from_secs(120);
/// Ends a session, or asks for none.
const FINAL_EPOCH: i32 = -1;
/// Asks for a new session.
const INITIAL_EPOCH: i32 = 0;

/// Which partition a fetch names: by id since version 13, by name before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FetchKey {
    pub topic_id: TopicId,
    pub topic: TopicName,
    pub partition: PartitionIndex,
}

/// What the client asked of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FetchPosition {
    pub offset: Offset,
    pub max_bytes: i32,
    pub current_leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: LeaderEpoch,
}

/// What the client was last told of a partition; only a change is worth a place in an incremental response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
}

#[derive(Debug)]
pub(super) struct SessionPartition {
    pub key: FetchKey,
    pub position: FetchPosition,
    pub told: Option<Told>,
    /// The replica that is watched; none while this broker does not host the partition.
    pub watched: Option<Arc<Partition>>,
    /// It stands among the candidates.
    is_candidate: bool,
}

/// The partitions of one fetch, by slot.
#[derive(Debug)]
pub(super) struct FetchSession {
    slots: Vec<Option<SessionPartition>>,
    by_key: HashMap<FetchKey, usize>,
    free: Vec<usize>,
    /// Slots of forgotten partitions, which may still stand among the candidates.
    removed: Vec<usize>,
    /// Slots to look at in the next fetch, least recently served first.
    candidates: Vec<usize>,
    pub ready: Arc<ReadySet>,
    pub uses_topic_ids: bool,
    /// The partitions of all sessions.
    total: Arc<AtomicUsize>,
}

impl Drop for FetchSession {
    fn drop(&mut self) {
        self.total.fetch_sub(self.by_key.len(), Ordering::Relaxed);
    }
}

impl FetchSession {
    fn new(uses_topic_ids: bool, total: Arc<AtomicUsize>) -> Self {
        Self {
            slots: Vec::new(),
            by_key: HashMap::new(),
            free: Vec::new(),
            removed: Vec::new(),
            candidates: Vec::new(),
            ready: Arc::default(),
            uses_topic_ids,
            total,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Adds the partition or moves it to another position; it is looked at in the next fetch.
    pub(super) fn put(&mut self, key: FetchKey, position: FetchPosition) {
        let slot = match self.by_key.get(&key) {
            Some(&slot) => slot,
            None => self.insert(key, position),
        };
        if let Some(partition) = &mut self.slots[slot] {
            partition.position = position;
        }
        self.look_at(slot);
    }

    fn insert(&mut self, key: FetchKey, position: FetchPosition) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.by_key.insert(key.clone(), slot);
        self.total.fetch_add(1, Ordering::Relaxed);
        self.slots[slot] = Some(SessionPartition { key, position, told: None, watched: None, is_candidate: false });
        slot
    }

    /// Forgets the partition, as the client asks (`forgotten_topics_data`).
    pub(super) fn remove(&mut self, key: &FetchKey) {
        let Some(slot) = self.by_key.remove(key) else { return };
        self.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(SessionPartition { watched: Some(replica), .. }) = self.slots[slot].take() {
            replica.watchers().remove(&self.ready, slot);
        }
        self.removed.push(slot);
    }

    /// Ends a round of [`FetchSession::remove`]: the slots may be used again.
    pub(super) fn forget_removed(&mut self) {
        if !self.removed.is_empty() {
            let slots = &self.slots;
            self.candidates.retain(|&candidate| slots[candidate].is_some());
            self.free.append(&mut self.removed);
        }
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut SessionPartition> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Every slot, in the order of the request that made the session.
    pub(super) fn all_slots(&self) -> Vec<usize> {
        (0..self.slots.len()).filter(|&slot| self.slots[slot].is_some()).collect()
    }

    /// Looks at `slot` in the next fetch too; behind those that wait already, so that none starves.
    pub(super) fn look_at(&mut self, slot: usize) {
        let Some(partition) = self.get_mut(slot) else { return };
        if !std::mem::replace(&mut partition.is_candidate, true) {
            self.candidates.push(slot);
        }
    }

    /// Takes the slots that may have something new.
    pub(super) fn take_candidates(&mut self) -> Vec<usize> {
        for slot in self.ready.take() {
            self.look_at(slot);
        }
        let candidates = std::mem::take(&mut self.candidates);
        for &slot in &candidates {
            if let Some(partition) = self.get_mut(slot) {
                partition.is_candidate = false;
            }
        }
        candidates
    }

    /// Watches `replica` for the partition of `slot`, instead of the one watched before.
    pub(super) fn watch(&mut self, slot: usize, replica: Option<&Arc<Partition>>) {
        let ready = Arc::clone(&self.ready);
        let Some(partition) = self.get_mut(slot) else { return };
        let unchanged = match (&partition.watched, replica) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if unchanged {
            return;
        }
        if let Some(old) = partition.watched.take() {
            old.watchers().remove(&ready, slot);
        }
        if let Some(new) = replica {
            new.watchers().add(&ready, slot);
            partition.watched = Some(Arc::clone(new));
        }
    }
}

/// What a request says of its session.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionMetadata {
    pub id: i32,
    pub epoch: i32,
}

impl SessionMetadata {
    /// The request names every partition it wants.
    pub(super) fn is_full(self) -> bool {
        self.epoch == INITIAL_EPOCH || self.epoch == FINAL_EPOCH
    }

    pub(super) fn wants_session(self) -> bool {
        self.epoch == INITIAL_EPOCH
    }
}

/// The session's epoch that follows `epoch`; wraps to 1, since 0 and -1 have a meaning of their own.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

/// All sessions of this broker, at most `max.incremental.fetch.session.cache.slots`.
#[derive(Debug)]
pub struct FetchSessionCache {
    max_sessions: usize,
    sessions: Mutex<Sessions>,
    evictions: Counter,
    /// Partitions in all sessions: those that are kept, and those that live for one request.
    total_partitions: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Sessions {
    by_id: HashMap<i32, CachedSession>,
    /// By last use, oldest first.
    by_age: BTreeSet<(Duration, i32)>,
}

#[derive(Debug)]
struct CachedSession {
    session: Arc<Mutex<FetchSession>>,
    next_epoch: i32,
    last_used: Duration,
    uses_topic_ids: bool,
}

impl FetchSessionCache {
    /// `evictions` counts the sessions that had to make room for others.
    pub fn new(max_sessions: usize, evictions: Counter) -> Self {
        Self { max_sessions, sessions: Mutex::default(), evictions, total_partitions: Arc::default() }
    }

    /// A session that is not kept yet.
    pub(super) fn new_session(&self, uses_topic_ids: bool) -> FetchSession {
        FetchSession::new(uses_topic_ids, Arc::clone(&self.total_partitions))
    }

    /// So many partitions are watched that no session is kept and no fetch waits any more.
    pub(super) fn is_full(&self) -> bool {
        self.total_partitions.load(Ordering::Relaxed) > MAX_TOTAL_PARTITIONS
    }

    /// Sessions that are kept, and the partitions in them.
    pub fn counts(&self) -> (usize, usize) {
        let sessions: Vec<_> =
            self.sessions.lock().by_id.values().map(|cached| Arc::clone(&cached.session)).collect();
        (sessions.len(), sessions.iter().map(|session| session.lock().len()).sum())
    }

    /// The session of an incremental fetch. `now` is monotonic.
    pub(super) fn resume(
        &self,
        metadata: SessionMetadata,
        uses_topic_ids: bool,
        now: Duration,
    ) -> Result<Arc<Mutex<FetchSession>>, ErrorCode> {
        let mut sessions = self.sessions.lock();
        let Sessions { by_id, by_age, .. } = &mut *sessions;
        let cached = by_id.get_mut(&metadata.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if metadata.epoch != cached.next_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if cached.uses_topic_ids != uses_topic_ids {
            // The client was upgraded or downgraded in mid-session; it starts another.
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        by_age.remove(&(cached.last_used, metadata.id));
        cached.last_used = now;
        by_age.insert((now, metadata.id));
        cached.next_epoch = next_epoch(cached.next_epoch);
        Ok(Arc::clone(&cached.session))
    }

    /// Drops a session that the client ended or replaced.
    pub(super) fn end(&self, id: i32) {
        self.sessions.lock().remove(id);
    }

    /// Keeps `session` under a new id; 0 where there is no room, so that the client goes on without.
    pub(super) fn keep(&self, session: &Arc<Mutex<FetchSession>>, uses_topic_ids: bool, now: Duration) -> i32 {
        let mut sessions = self.sessions.lock();
        if self.max_sessions == 0 {
            return 0;
        }
        match sessions.make_room(self.max_sessions, now) {
            Room::Free => {}
            Room::Evicted => self.evictions.increment(1),
            Room::None => return 0,
        }
        let id = loop {
            let id = rand::rng().random_range(1..i32::MAX);
            if !sessions.by_id.contains_key(&id) {
                break id;
            }
        };
        let session = Arc::clone(session);
        sessions.by_age.insert((now, id));
        sessions.by_id.insert(id, CachedSession { session, next_epoch: 1, last_used: now, uses_topic_ids });
        id
    }
}

enum Room {
    Free,
    Evicted,
    None,
}

impl Sessions {
    fn remove(&mut self, id: i32) {
        if let Some(cached) = self.by_id.remove(&id) {
            self.by_age.remove(&(cached.last_used, id));
        }
    }

    /// Room for another session; the oldest one goes if it is idle for long.
    fn make_room(&mut self, max_sessions: usize, now: Duration) -> Room {
        if self.by_id.len() < max_sessions {
            return Room::Free;
        }
        match self.by_age.first().copied() {
            Some((last_used, id)) if now.saturating_sub(last_used) >= EVICTION_AGE => {
                self.remove(id);
                Room::Evicted
            }
            _ => Room::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(partition: i32) -> FetchKey {
        FetchKey { topic_id: TopicId::default(), topic: "t".into(), partition }
    }

    const POSITION: FetchPosition = FetchPosition {
        offset: Offset(0),
        max_bytes: 1,
        current_leader_epoch: LeaderEpoch::NONE,
        last_fetched_epoch: LeaderEpoch::NONE,
    };

    #[test]
    fn only_what_changed_or_was_marked_is_looked_at() {
        let mut session = FetchSessionCache::new(1, Counter::noop()).new_session(false);
        session.put(key(0), POSITION);
        session.put(key(1), POSITION);
        assert_eq!(session.take_candidates(), [0, 1]);
        assert_eq!(session.take_candidates(), [0_usize; 0]);
        session.ready.mark(1);
        assert_eq!(session.take_candidates(), [1]);
        session.remove(&key(1));
        session.forget_removed();
        session.ready.mark(1);
        assert_eq!(session.take_candidates(), [0_usize; 0]);
        session.put(key(2), POSITION);
        assert_eq!(session.all_slots(), [0, 1], "the slot is used again");
    }

    #[test]
    fn epochs_and_ids_are_checked() {
        let cache = FetchSessionCache::new(1, Counter::noop());
        let session = Arc::new(Mutex::new(cache.new_session(true)));
        let now = Duration::from_secs(1);
        let id = cache.keep(&session, true, now);
        assert!(id > 0);
        let resume = |epoch, ids| cache.resume(SessionMetadata { id, epoch }, ids, now).err();
        assert_eq!(resume(2, true), Some(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(resume(1, false), Some(ErrorCode::FetchSessionTopicIdError));
        assert_eq!(resume(1, true), None);
        assert_eq!(resume(2, true), None);
        assert_eq!(cache.keep(&session, true, now), 0, "no room while the other is fresh");
        assert!(cache.keep(&session, true, now + EVICTION_AGE) > 0);
        assert_eq!(resume(3, true), Some(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn the_partitions_of_all_sessions_are_counted() {
        let cache = FetchSessionCache::new(1, Counter::noop());
        let mut first = cache.new_session(false);
        for partition in 0..=MAX_TOTAL_PARTITIONS as i32 {
            first.put(key(partition), POSITION);
        }
        assert!(cache.is_full());
        first.put(key(0), POSITION);
        first.remove(&key(0));
        assert!(!cache.is_full(), "a partition that is forgotten counts no more");
        let mut second = cache.new_session(false);
        second.put(key(0), POSITION);
        assert!(cache.is_full());
        drop(first);
        assert!(!cache.is_full(), "nor those of a session that is gone");
    }
}
