//! ShareFetch up to version 2, which says how records are acquired (KIP-1206) and whether the acknowledgements that
//! ride along renew locks (KIP-1222).

use super::codec::{
    count_bytes, nullable_string_bytes, put_count, put_nullable_string, put_tags, tags_bytes, take_count,
    take_nullable_string, take_tags,
};
use super::same_bytes_as_before;
use crate::protocol::wire::error::Result;
use crate::protocol::wire::messages as crates;
use crate::protocol::wire::protocol::buf::{ByteBuf, ByteBufMut};
use crate::protocol::wire::protocol::{Decodable, Encodable, HeaderVersion, Message, VersionRange};

const ACQUIRE_MODE_VERSION: i16 = 2;
/// The crate's newest; topics and partitions have not changed since.
const TOPICS_VERSION: i16 = 1;

/// Fetches and acquires records for a member of a share group; versions 1 and 2.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareFetchRequest {
    /// The fields of version 1.
    pub base: crates::ShareFetchRequest,
    /// 0: whole batches, 1: no more than `max_records` records; version 2 on.
    pub share_acquire_mode: i8,
    /// The acknowledgements may renew locks; version 2 on.
    pub is_renew_ack: bool,
}

same_bytes_as_before! {
    /// What was fetched and acquired; versions 1 and 2. What the broker sends is written by
    /// [`share_fetch_response`](crate::protocol::share_fetch_response) instead.
    ShareFetchResponse(crates::ShareFetchResponse), up to 2
}

impl From<crates::ShareFetchRequest> for ShareFetchRequest {
    fn from(base: crates::ShareFetchRequest) -> Self {
        Self { base, ..Self::default() }
    }
}

impl Message for ShareFetchRequest {
    const VERSIONS: VersionRange = VersionRange { min: 1, max: ACQUIRE_MODE_VERSION };
    const DEPRECATED_VERSIONS: Option<VersionRange> = crates::ShareFetchRequest::DEPRECATED_VERSIONS;
}

impl HeaderVersion for ShareFetchRequest {
    fn header_version(version: i16) -> i16 {
        crates::ShareFetchRequest::header_version(version)
    }
}

impl Decodable for ShareFetchRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        if version != ACQUIRE_MODE_VERSION {
            return crates::ShareFetchRequest::decode(buf, version).map(Self::from);
        }
        let mut request = Self::default();
        request.base.group_id = take_nullable_string(buf)?.map(crates::GroupId);
        request.base.member_id = take_nullable_string(buf)?;
        request.base.share_session_epoch = buf.try_get_i32()?;
        request.base.max_wait_ms = buf.try_get_i32()?;
        request.base.min_bytes = buf.try_get_i32()?;
        request.base.max_bytes = buf.try_get_i32()?;
        request.base.max_records = buf.try_get_i32()?;
        request.base.batch_size = buf.try_get_i32()?;
        request.share_acquire_mode = buf.try_get_i8()?;
        request.is_renew_ack = buf.try_get_u8()? != 0;
        for _ in 0..take_count(buf)? {
            request.base.topics.push(crates::share_fetch_request::FetchTopic::decode(buf, TOPICS_VERSION)?);
        }
        for _ in 0..take_count(buf)? {
            let forgotten = crates::share_fetch_request::ForgottenTopic::decode(buf, TOPICS_VERSION)?;
            request.base.forgotten_topics_data.push(forgotten);
        }
        request.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(request)
    }
}

impl Encodable for ShareFetchRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version != ACQUIRE_MODE_VERSION {
            return self.base.encode(buf, version);
        }
        put_nullable_string(buf, self.base.group_id.as_deref().map(|id| &**id));
        put_nullable_string(buf, self.base.member_id.as_deref());
        buf.put_i32(self.base.share_session_epoch);
        buf.put_i32(self.base.max_wait_ms);
        buf.put_i32(self.base.min_bytes);
        buf.put_i32(self.base.max_bytes);
        buf.put_i32(self.base.max_records);
        buf.put_i32(self.base.batch_size);
        buf.put_i8(self.share_acquire_mode);
        buf.put_u8(u8::from(self.is_renew_ack));
        put_count(buf, self.base.topics.len());
        for topic in &self.base.topics {
            topic.encode(buf, TOPICS_VERSION)?;
        }
        put_count(buf, self.base.forgotten_topics_data.len());
        for topic in &self.base.forgotten_topics_data {
            topic.encode(buf, TOPICS_VERSION)?;
        }
        put_tags(buf, &self.base.unknown_tagged_fields);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        if version != ACQUIRE_MODE_VERSION {
            return self.base.compute_size(version);
        }
        let mut bytes = nullable_string_bytes(self.base.group_id.as_deref().map(|id| &**id))
            + nullable_string_bytes(self.base.member_id.as_deref())
            + 6 * size_of::<i32>()
            + size_of::<i8>()
            + size_of::<bool>()
            + count_bytes(self.base.topics.len())
            + count_bytes(self.base.forgotten_topics_data.len())
            + tags_bytes(&self.base.unknown_tagged_fields);
        for topic in &self.base.topics {
            bytes += topic.compute_size(TOPICS_VERSION)?;
        }
        for topic in &self.base.forgotten_topics_data {
            bytes += topic.compute_size(TOPICS_VERSION)?;
        }
        Ok(bytes)
    }
}
