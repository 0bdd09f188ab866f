//! A committed offset: types 0 and 1.

use crate::coordinator::record_codec::{Field, Reader, RecordError, RecordValue, Tags, Writer, schema};
use crate::ids::TopicId;

/// The version that carries when the offset expires.
const EXPIRING_VERSION: i16 = 1;
const LEADER_EPOCH_FROM: i16 = 3;
const NEWEST_VERSION: i16 = 4;
const TOPIC_ID_TAG: u32 = 0;
/// What the bytes say where the offset does not expire by itself, and where the epoch is not known.
const NONE_MS: i64 = -1;
const NO_EPOCH: i32 = -1;

schema! {
    /// Names the group and the partition that an offset was committed for.
    pub struct OffsetCommitKey {
        group_id: String,
        topic: String,
        partition: i32,
    }
}

/// A committed offset, versions 0 to 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitValue {
    /// The next offset that the group will read.
    pub offset: i64,
    /// The epoch of the last record that was read, or -1; version 3 on.
    pub leader_epoch: i32,
    /// What the client wants kept.
    pub metadata: String,
    pub commit_timestamp_ms: i64,
    /// When the offset expires whatever becomes of the group: clients with OffsetCommit 2 to 4 may say so. Version 1
    /// only.
    pub expire_timestamp_ms: Option<i64>,
    /// The topic's id, zero where it is unknown; version 4 on.
    pub topic_id: TopicId,
}

impl RecordValue for OffsetCommitValue {
    const NEWEST: i16 = NEWEST_VERSION;
    const FLEXIBLE_FROM: i16 = 4;

    fn version(&self) -> i16 {
        if self.expire_timestamp_ms.is_some() { EXPIRING_VERSION } else { NEWEST_VERSION }
    }

    fn put_version(&self, out: &mut Writer, version: i16) {
        self.offset.put(out);
        if version >= LEADER_EPOCH_FROM {
            self.leader_epoch.put(out);
        }
        self.metadata.put(out);
        self.commit_timestamp_ms.put(out);
        if version == EXPIRING_VERSION {
            self.expire_timestamp_ms.unwrap_or(NONE_MS).put(out);
        }
        let mut tags = Tags::default();
        if self.topic_id != TopicId::default() {
            tags.add(TOPIC_ID_TAG, &self.topic_id);
        }
        out.tags(&tags);
    }

    fn take_version(from: &mut Reader<'_>, version: i16) -> Result<Self, RecordError> {
        let offset = Field::take(from)?;
        let leader_epoch = if version >= LEADER_EPOCH_FROM { Field::take(from)? } else { NO_EPOCH };
        let metadata = Field::take(from)?;
        let commit_timestamp_ms = Field::take(from)?;
        let expires = if version == EXPIRING_VERSION { Field::take(from)? } else { NONE_MS };
        let expire_timestamp_ms = (expires != NONE_MS).then_some(expires);
        let mut topic_id = TopicId::default();
        from.tags(|tag, field| {
            if tag == TOPIC_ID_TAG {
                topic_id = Field::take(field)?;
            }
            Ok(())
        })?;
        Ok(Self { offset, leader_epoch, metadata, commit_timestamp_ms, expire_timestamp_ms, topic_id })
    }
}
