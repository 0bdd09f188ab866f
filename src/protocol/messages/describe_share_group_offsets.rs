//! DescribeShareGroupOffsets up to version 1, which says how far a share group lies behind (KIP-1226).

use super::codec::{
    compact_string_bytes, count_bytes, nullable_string_bytes, put_compact_string, put_count, put_nullable_string,
    put_tags, tags_bytes, take_compact_string, take_count, take_nullable_string, take_tags,
};
use super::same_bytes_as_before;
use crate::protocol::wire::error::Result;
use crate::protocol::wire::messages as crates;
use crate::protocol::wire::messages::describe_share_group_offsets_response as inner;
use crate::protocol::wire::protocol::buf::{ByteBuf, ByteBufMut};
use crate::protocol::wire::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};

const LAG_VERSION: i16 = 1;
/// Where the lag is not known.
const UNKNOWN_LAG: i64 = -1;

same_bytes_as_before! {
    /// Asks how far share groups are; versions 0 and 1.
    DescribeShareGroupOffsetsRequest(crates::DescribeShareGroupOffsetsRequest), up to 1
}

/// How far share groups are; versions 0 and 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeShareGroupOffsetsResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedShareGroupOffsets>,
}

/// How far one share group is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribedShareGroupOffsets {
    pub group_id: crates::GroupId,
    pub topics: Vec<DescribedShareTopicOffsets>,
    pub error_code: i16,
    pub error_message: Option<StrBytes>,
}

/// How far one share group is in one topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribedShareTopicOffsets {
    pub topic_name: crates::TopicName,
    pub topic_id: uuid::Uuid,
    pub partitions: Vec<DescribedSharePartitionOffsets>,
}

/// How far one share group is in one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedSharePartitionOffsets {
    /// The fields of version 0.
    pub base: inner::DescribeShareGroupOffsetsResponsePartition,
    /// Records that wait to be delivered for good, or -1; version 1 on.
    pub lag: i64,
}

impl Default for DescribedSharePartitionOffsets {
    fn default() -> Self {
        Self { base: inner::DescribeShareGroupOffsetsResponsePartition::default(), lag: UNKNOWN_LAG }
    }
}

impl Message for DescribeShareGroupOffsetsResponse {
    const VERSIONS: VersionRange = VersionRange { min: 0, max: LAG_VERSION };
    const DEPRECATED_VERSIONS: Option<VersionRange> = crates::DescribeShareGroupOffsetsResponse::DEPRECATED_VERSIONS;
}

impl HeaderVersion for DescribeShareGroupOffsetsResponse {
    fn header_version(version: i16) -> i16 {
        crates::DescribeShareGroupOffsetsResponse::header_version(version.min(LAG_VERSION - 1))
    }
}

impl Encodable for DescribeShareGroupOffsetsResponse {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        buf.put_i32(self.throttle_time_ms);
        put_count(buf, self.groups.len());
        for group in &self.groups {
            put_compact_string(buf, &group.group_id);
            put_count(buf, group.topics.len());
            group.topics.iter().for_each(|topic| topic.encode(buf, version));
            buf.put_i16(group.error_code);
            put_nullable_string(buf, group.error_message.as_deref());
            put_tags(buf, &[].into());
        }
        put_tags(buf, &[].into());
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        let no_tags = tags_bytes(&[].into());
        let groups = self.groups.iter().map(|group| {
            compact_string_bytes(&group.group_id)
                + count_bytes(group.topics.len())
                + group.topics.iter().map(|topic| topic.size_bytes(version)).sum::<usize>()
                + size_of::<i16>()
                + nullable_string_bytes(group.error_message.as_deref())
                + no_tags
        });
        Ok(size_of::<i32>() + count_bytes(self.groups.len()) + groups.sum::<usize>() + no_tags)
    }
}

impl Decodable for DescribeShareGroupOffsetsResponse {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        let mut response = Self { throttle_time_ms: buf.try_get_i32()?, groups: Vec::new() };
        for _ in 0..take_count(buf)? {
            let mut group = DescribedShareGroupOffsets {
                group_id: crates::GroupId(take_compact_string(buf)?),
                ..DescribedShareGroupOffsets::default()
            };
            for _ in 0..take_count(buf)? {
                group.topics.push(DescribedShareTopicOffsets::decode(buf, version)?);
            }
            group.error_code = buf.try_get_i16()?;
            group.error_message = take_nullable_string(buf)?;
            take_tags(buf)?;
            response.groups.push(group);
        }
        take_tags(buf)?;
        Ok(response)
    }
}

impl DescribedShareTopicOffsets {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) {
        put_compact_string(buf, &self.topic_name);
        buf.put_slice(self.topic_id.as_bytes());
        put_count(buf, self.partitions.len());
        for DescribedSharePartitionOffsets { base, lag } in &self.partitions {
            buf.put_i32(base.partition_index);
            buf.put_i64(base.start_offset);
            buf.put_i32(base.leader_epoch);
            if version >= LAG_VERSION {
                buf.put_i64(*lag);
            }
            buf.put_i16(base.error_code);
            put_nullable_string(buf, base.error_message.as_deref());
            put_tags(buf, &base.unknown_tagged_fields);
        }
        put_tags(buf, &[].into());
    }

    fn size_bytes(&self, version: i16) -> usize {
        let lag_bytes = if version >= LAG_VERSION { size_of::<i64>() } else { 0 };
        let partitions = self.partitions.iter().map(|partition| {
            2 * size_of::<i32>()
                + size_of::<i64>()
                + size_of::<i16>()
                + lag_bytes
                + nullable_string_bytes(partition.base.error_message.as_deref())
                + tags_bytes(&partition.base.unknown_tagged_fields)
        });
        compact_string_bytes(&self.topic_name)
            + size_of::<uuid::Uuid>()
            + count_bytes(self.partitions.len())
            + partitions.sum::<usize>()
            + tags_bytes(&[].into())
    }

    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        let topic_name = crates::TopicName(take_compact_string(buf)?);
        let mut id = [0; size_of::<uuid::Uuid>()];
        buf.try_copy_to_slice(&mut id)?;
        let mut topic = Self { topic_name, topic_id: uuid::Uuid::from_bytes(id), partitions: Vec::new() };
        for _ in 0..take_count(buf)? {
            let mut partition = DescribedSharePartitionOffsets::default();
            partition.base.partition_index = buf.try_get_i32()?;
            partition.base.start_offset = buf.try_get_i64()?;
            partition.base.leader_epoch = buf.try_get_i32()?;
            if version >= LAG_VERSION {
                partition.lag = buf.try_get_i64()?;
            }
            partition.base.error_code = buf.try_get_i16()?;
            partition.base.error_message = take_nullable_string(buf)?;
            partition.base.unknown_tagged_fields = take_tags(buf)?;
            topic.partitions.push(partition);
        }
        take_tags(buf)?;
        Ok(topic)
    }
}
