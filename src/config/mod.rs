//! Being laid.

mod log_config;

pub use log_config::{CleanupPolicy, CompressionType, LogConfig, TimestampType};
