//! What has become of the records that share groups read, kept in `__share_group_state`.

pub mod records;
