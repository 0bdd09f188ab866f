//! The bounds on what all connections together hold: request bytes (`queued.max.request.bytes`) and replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// What takes up to this much is not charged: each connection holds at most a few of them, and charging every small
/// request would have all connections meet at one semaphore.
pub(super) const UNCHARGED_BYTES: usize = 64 * 1024;

/// How long a connection may hold room that others want while its client neither sends nor takes anything.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// What a client that is let go on behind [`GRACE`] must at least send or take, in bytes a second.
const PACE_BYTES: u64 = 256 * 1024;
/// How often is looked whether others want the room.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(500);

const UNIT_BYTES: usize = 1024;

/// Hands out room for large frames and replies. Where there is none, a connection that wants to read waits and does
/// not read; a reply that finds none ends its connection.
#[derive(Clone, Debug)]
pub struct RequestMemory {
    units: Arc<Semaphore>,
    total_units: usize,
    waiting: Arc<AtomicUsize>,
    /// For the one frame at a time that may take more than there is.
    beyond: Arc<Semaphore>,
}

/// Room for one frame or reply, given back when dropped; none where it is not charged.
pub(super) type MemoryLease = Option<OwnedSemaphorePermit>;

/// The room of a frame, which grows as it comes.
#[derive(Debug, Default)]
pub(super) struct GrowingLease {
    counted: MemoryLease,
    /// What it takes further is not counted.
    beyond: MemoryLease,
}

impl GrowingLease {
    pub(super) fn is_held(&self) -> bool {
        self.counted.is_some()
    }
}

/// No room for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for a reply of {bytes} bytes")]
pub(super) struct NoRoom {
    bytes: usize,
}

impl RequestMemory {
    pub fn new(limit_bytes: usize) -> Self {
        let total_units = (limit_bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self {
            units: Arc::new(Semaphore::new(total_units)),
            total_units,
            waiting: Arc::default(),
            beyond: Arc::new(Semaphore::new(1)),
        }
    }

    /// Bytes that are held, and those that are free.
    pub fn used_and_available_bytes(&self) -> (u64, u64) {
        let available = self.units.available_permits();
        let used = self.total_units.saturating_sub(available);
        ((used * UNIT_BYTES) as u64, (available * UNIT_BYTES) as u64)
    }

    /// Waits for room for `bytes`. What is larger than the whole bound takes all of it, alone.
    pub async fn lease(&self, bytes: usize) -> MemoryLease {
        if bytes <= UNCHARGED_BYTES {
            return None;
        }
        let _waiting = WaitingGuard::enter(&self.waiting);
        Arc::clone(&self.units).acquire_many_owned(self.units_of(bytes)).await.ok()
    }

    /// Waits until `lease` has grown to `bytes`. Since frames that have come in part hold what others wait for in order
    /// to become whole, one at a time grows beyond the bound: it comes to its end and gives everything back.
    pub(super) async fn grow(&self, lease: &mut GrowingLease, bytes: usize) {
        let Some(counted) = &mut lease.counted else {
            lease.counted = self.lease(bytes).await;
            return;
        };
        let more_units = self.units_of(bytes).saturating_sub(counted.num_permits() as u32);
        if more_units == 0 || lease.beyond.is_some() {
            return;
        }
        let _waiting = WaitingGuard::enter(&self.waiting);
        tokio::select! {
            biased;
            Ok(more) = Arc::clone(&self.units).acquire_many_owned(more_units) => counted.merge(more),
            Ok(beyond) = Arc::clone(&self.beyond).acquire_owned() => lease.beyond = Some(beyond),
        }
    }

    /// Room for `bytes` that are there already, if there is any.
    pub(super) fn try_lease(&self, bytes: usize) -> Result<MemoryLease, NoRoom> {
        if bytes <= UNCHARGED_BYTES {
            return Ok(None);
        }
        let room = Arc::clone(&self.units).try_acquire_many_owned(self.units_of(bytes));
        room.map(Some).map_err(|_no_permits| NoRoom { bytes })
    }

    fn units_of(&self, bytes: usize) -> u32 {
        bytes.div_ceil(UNIT_BYTES).min(self.total_units) as u32
    }

    /// Others wait for room, or will soon.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || self.units.available_permits() < self.total_units / 4
    }

    /// Returns once others have wanted room for `limit` without a pause.
    pub(super) async fn wanted_for(&self, limit: Duration) {
        let mut since = Instant::now();
        while since.elapsed() < limit {
            tokio::time::sleep(CHECK_INTERVAL.min(limit)).await;
            if !self.is_wanted() {
                since = Instant::now();
            }
        }
    }
}

/// How long a client may take for `bytes` while others want the room that they take.
pub(super) fn patience(bytes: usize) -> Duration {
    GRACE + Duration::from_millis(bytes as u64 * 1000 / PACE_BYTES)
}

/// Counts one that waits until it is dropped: a wait may be given up.
struct WaitingGuard<'a>(&'a AtomicUsize);

impl<'a> WaitingGuard<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_frames_wait_for_room() {
        let memory = RequestMemory::new(200 * 1024);
        let first = memory.lease(150 * 1024).await;
        assert!(memory.lease(1000).await.is_none(), "small frames pass");
        let mut second = Box::pin(memory.lease(500 * 1024));
        let waits = futures_util::poll!(&mut second).is_pending();
        assert!(waits, "no room for more than the bound");
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_wants_no_room() {
        let memory = RequestMemory::new(400 * 1024);
        let held = memory.lease(300 * 1024).await;
        assert!(!memory.is_wanted(), "there is room left");
        let mut second = Box::pin(memory.lease(300 * 1024));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(memory.is_wanted());
        drop(second);
        assert!(!memory.is_wanted());
        drop(held);
    }

    #[tokio::test]
    async fn frames_that_come_in_part_do_not_block_each_other_for_good() {
        const KIB: usize = 1024;
        let memory = RequestMemory::new(400 * KIB);
        let (mut first, mut second) = (GrowingLease::default(), GrowingLease::default());
        memory.grow(&mut first, 200 * KIB).await;
        memory.grow(&mut second, 200 * KIB).await;
        memory.grow(&mut first, 300 * KIB).await;
        {
            let mut growth = Box::pin(memory.grow(&mut second, 250 * KIB));
            assert!(futures_util::poll!(&mut growth).is_pending(), "one goes beyond, no two");
            assert!(memory.is_wanted());
        }
        drop(first);
        memory.grow(&mut second, 250 * KIB).await;
        assert_eq!(memory.used_and_available_bytes().0, 250 * KIB as u64);
    }

    #[test]
    fn a_reply_takes_what_is_free_or_nothing() {
        let memory = RequestMemory::new(200 * 1024);
        let held = memory.try_lease(150 * 1024).unwrap();
        assert!(held.is_some());
        assert!(memory.try_lease(100 * 1024).is_err());
        assert!(memory.try_lease(UNCHARGED_BYTES).unwrap().is_none(), "small replies pass");
        drop(held);
        assert!(memory.try_lease(1 << 30).is_ok(), "larger than the bound: alone");
    }

    #[tokio::test]
    async fn only_others_that_wait_all_the_time_count() {
        const LIMIT: Duration = Duration::from_millis(20);
        let memory = RequestMemory::new(400 * 1024);
        let held = memory.lease(390 * 1024).await;
        let begin = Instant::now();
        memory.wanted_for(LIMIT).await;
        assert!(begin.elapsed() >= LIMIT);
        drop(held);
        assert!(tokio::time::timeout(LIMIT * 10, memory.wanted_for(LIMIT)).await.is_err());
    }

    #[test]
    fn patience_grows_with_what_is_done() {
        assert_eq!(patience(0), GRACE);
        assert_eq!(patience(PACE_BYTES as usize * 10), GRACE + Duration::from_secs(10));
    }
}
