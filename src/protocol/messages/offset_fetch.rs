//! OffsetFetch up to version 10, whose request names topics by their ids (KIP-848). The crate has the response.

use uuid::Uuid;

use super::codec::{
    NULL_ARRAY_BYTES, UUID_BYTES, compact_string_bytes, count_bytes, nullable_string_bytes, put_compact_string,
    put_count, put_null_array, put_nullable_string, put_tags, tags_bytes, take_compact_string, take_count,
    take_nullable_count, take_nullable_string, take_tags, take_uuid,
};
use crate::protocol::wire::error::Result;
use crate::protocol::wire::messages as crates;
use crate::protocol::wire::messages::offset_fetch_request as wire;
use crate::protocol::wire::protocol::buf::{ByteBuf, ByteBufMut};
use crate::protocol::wire::protocol::{Decodable, Encodable, HeaderVersion, Message, VersionRange};

const TOPIC_ID_VERSION: i16 = 10;

/// Asks for the committed offsets of groups; versions 1 to 10.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchRequest {
    /// All fields but the groups of versions 8 and later.
    pub base: crates::OffsetFetchRequest,
    /// Version 8 on.
    pub groups: Vec<OffsetFetchRequestGroup>,
}

/// Asks for the committed offsets of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchRequestGroup {
    /// All fields but the topics.
    pub base: wire::OffsetFetchRequestGroup,
    /// `None` asks for all.
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
}

/// Asks for the committed offsets of some partitions of a topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchRequestTopic {
    /// The fields of versions 8 and 9; without a name from version 10 on.
    pub base: wire::OffsetFetchRequestTopics,
    /// Version 10 on.
    pub topic_id: Uuid,
}

impl From<wire::OffsetFetchRequestTopics> for OffsetFetchRequestTopic {
    fn from(base: wire::OffsetFetchRequestTopics) -> Self {
        Self { base, topic_id: Uuid::nil() }
    }
}

impl From<wire::OffsetFetchRequestGroup> for OffsetFetchRequestGroup {
    fn from(mut base: wire::OffsetFetchRequestGroup) -> Self {
        let topics = base.topics.take();
        Self { base, topics: topics.map(|topics| topics.into_iter().map(OffsetFetchRequestTopic::from).collect()) }
    }
}

impl From<crates::OffsetFetchRequest> for OffsetFetchRequest {
    fn from(mut base: crates::OffsetFetchRequest) -> Self {
        let groups = std::mem::take(&mut base.groups).into_iter().map(OffsetFetchRequestGroup::from).collect();
        Self { base, groups }
    }
}

impl OffsetFetchRequest {
    /// The request as the crate has it, without what version 10 adds.
    fn in_the_crates_form(&self) -> crates::OffsetFetchRequest {
        let mut request = self.base.clone();
        request.groups = self.groups.iter().map(OffsetFetchRequestGroup::in_the_crates_form).collect();
        request
    }
}

impl Message for OffsetFetchRequest {
    const VERSIONS: VersionRange = VersionRange { min: 1, max: TOPIC_ID_VERSION };
    const DEPRECATED_VERSIONS: Option<VersionRange> = crates::OffsetFetchRequest::DEPRECATED_VERSIONS;
}

impl HeaderVersion for OffsetFetchRequest {
    fn header_version(version: i16) -> i16 {
        crates::OffsetFetchRequest::header_version(version)
    }
}

impl Encodable for OffsetFetchRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version != TOPIC_ID_VERSION {
            return self.in_the_crates_form().encode(buf, version);
        }
        put_count(buf, self.groups.len());
        for group in &self.groups {
            group.encode(buf);
        }
        buf.put_u8(u8::from(self.base.require_stable));
        put_tags(buf, &self.base.unknown_tagged_fields);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        if version != TOPIC_ID_VERSION {
            return self.in_the_crates_form().compute_size(version);
        }
        let groups: usize = self.groups.iter().map(OffsetFetchRequestGroup::size_bytes).sum();
        let tags = tags_bytes(&self.base.unknown_tagged_fields);
        Ok(count_bytes(self.groups.len()) + groups + size_of::<bool>() + tags)
    }
}

impl Decodable for OffsetFetchRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        if version != TOPIC_ID_VERSION {
            return crates::OffsetFetchRequest::decode(buf, version).map(Self::from);
        }
        let mut request = Self::default();
        for _ in 0..take_count(buf)? {
            request.groups.push(OffsetFetchRequestGroup::decode(buf)?);
        }
        request.base.require_stable = buf.try_get_u8()? != 0;
        request.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(request)
    }
}

impl OffsetFetchRequestGroup {
    fn in_the_crates_form(&self) -> wire::OffsetFetchRequestGroup {
        let mut group = self.base.clone();
        group.topics = self.topics.as_ref().map(|topics| topics.iter().map(|topic| topic.base.clone()).collect());
        group
    }

    fn encode<B: ByteBufMut>(&self, buf: &mut B) {
        put_compact_string(buf, &self.base.group_id);
        put_nullable_string(buf, self.base.member_id.as_deref());
        buf.put_i32(self.base.member_epoch);
        match &self.topics {
            Some(topics) => {
                put_count(buf, topics.len());
                for topic in topics {
                    topic.encode(buf);
                }
            }
            None => put_null_array(buf),
        }
        put_tags(buf, &self.base.unknown_tagged_fields);
    }

    fn size_bytes(&self) -> usize {
        let topics = self.topics.as_ref().map_or(NULL_ARRAY_BYTES, |topics| {
            count_bytes(topics.len()) + topics.iter().map(OffsetFetchRequestTopic::size_bytes).sum::<usize>()
        });
        compact_string_bytes(&self.base.group_id)
            + nullable_string_bytes(self.base.member_id.as_deref())
            + size_of::<i32>()
            + topics
            + tags_bytes(&self.base.unknown_tagged_fields)
    }

    fn decode<B: ByteBuf>(buf: &mut B) -> Result<Self> {
        let mut group = Self::default();
        group.base.group_id = crates::GroupId(take_compact_string(buf)?);
        group.base.member_id = take_nullable_string(buf)?;
        group.base.member_epoch = buf.try_get_i32()?;
        if let Some(count) = take_nullable_count(buf)? {
            let topics = group.topics.insert(Vec::new());
            for _ in 0..count {
                topics.push(OffsetFetchRequestTopic::decode(buf)?);
            }
        }
        // The crate's default is an empty list; topics are kept outside of it.
        group.base.topics = None;
        group.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(group)
    }
}

impl OffsetFetchRequestTopic {
    fn encode<B: ByteBufMut>(&self, buf: &mut B) {
        buf.put_slice(self.topic_id.as_bytes());
        put_count(buf, self.base.partition_indexes.len());
        for &partition in &self.base.partition_indexes {
            buf.put_i32(partition);
        }
        put_tags(buf, &self.base.unknown_tagged_fields);
    }

    fn size_bytes(&self) -> usize {
        let partitions = &self.base.partition_indexes;
        let tags = tags_bytes(&self.base.unknown_tagged_fields);
        UUID_BYTES + count_bytes(partitions.len()) + size_of_val(&partitions[..]) + tags
    }

    fn decode<B: ByteBuf>(buf: &mut B) -> Result<Self> {
        let mut topic = Self { topic_id: take_uuid(buf)?, ..Self::default() };
        for _ in 0..take_count(buf)? {
            topic.base.partition_indexes.push(buf.try_get_i32()?);
        }
        topic.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(topic)
    }
}
