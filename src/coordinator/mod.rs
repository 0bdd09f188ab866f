//! Coordinators: what groups and their committed offsets are, kept in internal topics.

pub mod group;
pub(crate) mod record_codec;
pub mod share;
