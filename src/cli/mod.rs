//! Being laid.

pub mod telemetry;
