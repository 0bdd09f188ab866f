//! The bound on request bytes held by all connections together (`queued.max.request.bytes`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames up to this size are not charged: each connection holds at most a few of them, and charging every small
/// request would have all connections meet at one semaphore.
pub(super) const UNCHARGED_BYTES: usize = 64 * 1024;

const UNIT_BYTES: usize = 1024;

/// Hands out room for large frames; where there is none, the asking connection waits and does not read.
#[derive(Clone, Debug)]
pub struct RequestMemory {
    units: Arc<Semaphore>,
    total_units: usize,
}

/// Room for one frame, given back when dropped.
pub(super) type MemoryLease = Option<OwnedSemaphorePermit>;

impl RequestMemory {
    pub fn new(limit_bytes: usize) -> Self {
        let total_units = (limit_bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { units: Arc::new(Semaphore::new(total_units)), total_units }
    }

    /// Bytes that large frames hold, and those that are free.
    pub fn used_and_available_bytes(&self) -> (u64, u64) {
        let available = self.units.available_permits();
        let used = self.total_units.saturating_sub(available);
        ((used * UNIT_BYTES) as u64, (available * UNIT_BYTES) as u64)
    }

    /// Waits for room for a frame of `bytes`. A frame larger than the whole bound takes all of it, alone.
    pub async fn lease(&self, bytes: usize) -> MemoryLease {
        if bytes <= UNCHARGED_BYTES {
            return None;
        }
        let units = bytes.div_ceil(UNIT_BYTES).min(self.total_units);
        Arc::clone(&self.units).acquire_many_owned(units as u32).await.ok()
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
}
