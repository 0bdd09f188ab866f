//! Taking over the data directory of a Kafka that was stopped.

pub mod kafka_metadata;
pub mod metadata_log;
pub mod metadata_records;
