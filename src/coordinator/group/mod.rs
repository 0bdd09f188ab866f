//! Groups and committed offsets, kept in `__consumer_offsets`.

pub mod records;
