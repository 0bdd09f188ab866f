//! OffsetCommit up to version 10, whose request names topics by their ids (KIP-848). The crate has the response.

use uuid::Uuid;

use super::codec::{
    UUID_BYTES, compact_string_bytes, count_bytes, nullable_string_bytes, put_compact_string, put_count,
    put_nullable_string, put_tags, tags_bytes, take_compact_string, take_count, take_nullable_string, take_tags,
    take_uuid,
};
use crate::protocol::wire::error::Result;
use crate::protocol::wire::messages as crates;
use crate::protocol::wire::messages::offset_commit_request::OffsetCommitRequestPartition;
use crate::protocol::wire::protocol::buf::{ByteBuf, ByteBufMut};
use crate::protocol::wire::protocol::{Decodable, Encodable, HeaderVersion, Message, VersionRange};

const TOPIC_ID_VERSION: i16 = 10;
/// The crate's newest; partitions have not changed since.
const PARTITIONS_VERSION: i16 = 9;

/// Commits offsets of a group; versions 2 to 10.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetCommitRequest {
    /// All fields but the topics.
    pub base: crates::OffsetCommitRequest,
    pub topics: Vec<OffsetCommitRequestTopic>,
}

/// Offsets of one topic's partitions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetCommitRequestTopic {
    /// The fields of versions 2 to 9; without a name from version 10 on.
    pub base: crates::offset_commit_request::OffsetCommitRequestTopic,
    /// Version 10 on.
    pub topic_id: Uuid,
}

impl From<crates::offset_commit_request::OffsetCommitRequestTopic> for OffsetCommitRequestTopic {
    fn from(base: crates::offset_commit_request::OffsetCommitRequestTopic) -> Self {
        Self { base, topic_id: Uuid::nil() }
    }
}

impl From<crates::OffsetCommitRequest> for OffsetCommitRequest {
    fn from(mut base: crates::OffsetCommitRequest) -> Self {
        let topics = std::mem::take(&mut base.topics).into_iter().map(OffsetCommitRequestTopic::from).collect();
        Self { base, topics }
    }
}

impl OffsetCommitRequest {
    /// The request as the crate has it, without what version 10 adds.
    fn in_the_crates_form(&self) -> crates::OffsetCommitRequest {
        let mut request = self.base.clone();
        request.topics = self.topics.iter().map(|topic| topic.base.clone()).collect();
        request
    }
}

impl Message for OffsetCommitRequest {
    const VERSIONS: VersionRange = VersionRange { min: 2, max: TOPIC_ID_VERSION };
    const DEPRECATED_VERSIONS: Option<VersionRange> = crates::OffsetCommitRequest::DEPRECATED_VERSIONS;
}

impl HeaderVersion for OffsetCommitRequest {
    fn header_version(version: i16) -> i16 {
        crates::OffsetCommitRequest::header_version(version)
    }
}

impl Encodable for OffsetCommitRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version != TOPIC_ID_VERSION {
            return self.in_the_crates_form().encode(buf, version);
        }
        put_compact_string(buf, &self.base.group_id);
        buf.put_i32(self.base.generation_id_or_member_epoch);
        put_compact_string(buf, &self.base.member_id);
        put_nullable_string(buf, self.base.group_instance_id.as_deref());
        put_count(buf, self.topics.len());
        for topic in &self.topics {
            topic.encode(buf)?;
        }
        put_tags(buf, &self.base.unknown_tagged_fields);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        if version != TOPIC_ID_VERSION {
            return self.in_the_crates_form().compute_size(version);
        }
        let mut bytes = compact_string_bytes(&self.base.group_id)
            + size_of::<i32>()
            + compact_string_bytes(&self.base.member_id)
            + nullable_string_bytes(self.base.group_instance_id.as_deref())
            + count_bytes(self.topics.len())
            + tags_bytes(&self.base.unknown_tagged_fields);
        for topic in &self.topics {
            bytes += topic.size_bytes()?;
        }
        Ok(bytes)
    }
}

impl Decodable for OffsetCommitRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        if version != TOPIC_ID_VERSION {
            return crates::OffsetCommitRequest::decode(buf, version).map(Self::from);
        }
        let mut request = Self::default();
        request.base.group_id = crates::GroupId(take_compact_string(buf)?);
        request.base.generation_id_or_member_epoch = buf.try_get_i32()?;
        request.base.member_id = take_compact_string(buf)?;
        request.base.group_instance_id = take_nullable_string(buf)?;
        for _ in 0..take_count(buf)? {
            request.topics.push(OffsetCommitRequestTopic::decode(buf)?);
        }
        request.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(request)
    }
}

impl OffsetCommitRequestTopic {
    fn encode<B: ByteBufMut>(&self, buf: &mut B) -> Result<()> {
        buf.put_slice(self.topic_id.as_bytes());
        put_count(buf, self.base.partitions.len());
        for partition in &self.base.partitions {
            partition.encode(buf, PARTITIONS_VERSION)?;
        }
        put_tags(buf, &self.base.unknown_tagged_fields);
        Ok(())
    }

    fn size_bytes(&self) -> Result<usize> {
        let mut bytes = UUID_BYTES + count_bytes(self.base.partitions.len());
        for partition in &self.base.partitions {
            bytes += partition.compute_size(PARTITIONS_VERSION)?;
        }
        Ok(bytes + tags_bytes(&self.base.unknown_tagged_fields))
    }

    fn decode<B: ByteBuf>(buf: &mut B) -> Result<Self> {
        let mut topic = Self { topic_id: take_uuid(buf)?, ..Self::default() };
        for _ in 0..take_count(buf)? {
            topic.base.partitions.push(OffsetCommitRequestPartition::decode(buf, PARTITIONS_VERSION)?);
        }
        topic.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(topic)
    }
}
