//! [`CleanerConfig`]: what the log cleaner may take, which can change while it runs.

use std::time::Duration;

use super::dynamic::{double, long};
use super::layers::Layers;

/// The settings of the log cleaner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerConfig {
    pub threads: usize,
    pub backoff: Duration,
    /// The maps of all threads together.
    pub dedupe_buffer_bytes: u64,
    /// How full a map may become, 0 to 1.
    pub load_factor: f64,
    /// What all threads together hold of what they read and write.
    pub io_buffer_bytes: usize,
    /// Read and written by all threads together.
    pub io_max_bytes_per_second: f64,
}

impl CleanerConfig {
    pub(super) fn resolve(layers: &Layers<'_>) -> Self {
        Self {
            threads: long(layers, "log.cleaner.threads") as usize,
            backoff: Duration::from_millis(long(layers, "log.cleaner.backoff.ms")),
            dedupe_buffer_bytes: long(layers, "log.cleaner.dedupe.buffer.size"),
            load_factor: double(layers, "log.cleaner.io.buffer.load.factor"),
            io_buffer_bytes: long(layers, "log.cleaner.io.buffer.size") as usize,
            io_max_bytes_per_second: double(layers, "log.cleaner.io.max.bytes.per.second"),
        }
    }
}
