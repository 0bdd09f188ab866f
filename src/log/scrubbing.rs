//! What the scrubber goes by, and how far it has come.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::time::TimestampMs;

/// Shared by the scrubber's thread, the configuration and the metrics.
#[derive(Debug)]
pub struct Scrubbing {
    bytes_per_second: AtomicU64,
    read_bytes: AtomicU64,
    last_round_ms: AtomicI64,
}

impl Default for Scrubbing {
    fn default() -> Self {
        Self { bytes_per_second: AtomicU64::new(0), read_bytes: AtomicU64::new(0), last_round_ms: AtomicI64::new(-1) }
    }
}

impl Scrubbing {
    /// `log.scrub.bytes.per.second`; 0 is off.
    pub fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    pub fn set_bytes_per_second(&self, bytes: u64) {
        self.bytes_per_second.store(bytes, Ordering::Relaxed);
    }

    /// All that was read since the start.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    pub fn add_read_bytes(&self, bytes: u64) {
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// When all logs had been read once more; `None` before the first time.
    pub fn last_round_ms(&self) -> Option<TimestampMs> {
        Some(self.last_round_ms.load(Ordering::Relaxed)).filter(|at| *at >= 0)
    }

    pub fn round_done(&self, now_ms: TimestampMs) {
        self.last_round_ms.store(now_ms, Ordering::Relaxed);
    }
}
