//! ShareAcknowledge up to version 2, whose acknowledgements may renew locks (KIP-1222); the answer says for how long.

use super::codec::{
    count_bytes, nullable_string_bytes, put_count, put_nullable_string, put_tags, tags_bytes, take_count,
    take_nullable_string, take_tags,
};
use crate::protocol::wire::error::Result;
use crate::protocol::wire::messages as crates;
use crate::protocol::wire::protocol::buf::{ByteBuf, ByteBufMut};
use crate::protocol::wire::protocol::{Decodable, Encodable, HeaderVersion, Message, VersionRange};

const RENEW_VERSION: i16 = 2;
/// The crate's newest; topics and partitions have not changed since.
const TOPICS_VERSION: i16 = 1;

/// Says what became of acquired records; versions 1 and 2.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareAcknowledgeRequest {
    /// The fields of version 1.
    pub base: crates::ShareAcknowledgeRequest,
    /// The acknowledgements may renew locks; version 2 on.
    pub is_renew_ack: bool,
}

impl From<crates::ShareAcknowledgeRequest> for ShareAcknowledgeRequest {
    fn from(base: crates::ShareAcknowledgeRequest) -> Self {
        Self { base, is_renew_ack: false }
    }
}

impl Message for ShareAcknowledgeRequest {
    const VERSIONS: VersionRange = VersionRange { min: 1, max: RENEW_VERSION };
    const DEPRECATED_VERSIONS: Option<VersionRange> = crates::ShareAcknowledgeRequest::DEPRECATED_VERSIONS;
}

impl HeaderVersion for ShareAcknowledgeRequest {
    fn header_version(version: i16) -> i16 {
        crates::ShareAcknowledgeRequest::header_version(version)
    }
}

impl Decodable for ShareAcknowledgeRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        if version != RENEW_VERSION {
            return crates::ShareAcknowledgeRequest::decode(buf, version).map(Self::from);
        }
        let mut request = Self::default();
        request.base.group_id = take_nullable_string(buf)?.map(crates::GroupId);
        request.base.member_id = take_nullable_string(buf)?;
        request.base.share_session_epoch = buf.try_get_i32()?;
        request.is_renew_ack = buf.try_get_u8()? != 0;
        for _ in 0..take_count(buf)? {
            let topic = crates::share_acknowledge_request::AcknowledgeTopic::decode(buf, TOPICS_VERSION)?;
            request.base.topics.push(topic);
        }
        request.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(request)
    }
}

impl Encodable for ShareAcknowledgeRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version != RENEW_VERSION {
            return self.base.encode(buf, version);
        }
        put_nullable_string(buf, self.base.group_id.as_deref().map(|id| &**id));
        put_nullable_string(buf, self.base.member_id.as_deref());
        buf.put_i32(self.base.share_session_epoch);
        buf.put_u8(u8::from(self.is_renew_ack));
        put_count(buf, self.base.topics.len());
        for topic in &self.base.topics {
            topic.encode(buf, TOPICS_VERSION)?;
        }
        put_tags(buf, &self.base.unknown_tagged_fields);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        if version != RENEW_VERSION {
            return self.base.compute_size(version);
        }
        let mut bytes = nullable_string_bytes(self.base.group_id.as_deref().map(|id| &**id))
            + nullable_string_bytes(self.base.member_id.as_deref())
            + size_of::<i32>()
            + size_of::<bool>()
            + count_bytes(self.base.topics.len())
            + tags_bytes(&self.base.unknown_tagged_fields);
        for topic in &self.base.topics {
            bytes += topic.compute_size(TOPICS_VERSION)?;
        }
        Ok(bytes)
    }
}

/// How each partition took its acknowledgements; versions 1 and 2.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareAcknowledgeResponse {
    /// The fields of version 1.
    pub base: crates::ShareAcknowledgeResponse,
    /// For how long acquired records are locked; version 2 on.
    pub acquisition_lock_timeout_ms: i32,
}

impl From<crates::ShareAcknowledgeResponse> for ShareAcknowledgeResponse {
    fn from(base: crates::ShareAcknowledgeResponse) -> Self {
        Self { base, acquisition_lock_timeout_ms: 0 }
    }
}

impl Message for ShareAcknowledgeResponse {
    const VERSIONS: VersionRange = VersionRange { min: 1, max: RENEW_VERSION };
    const DEPRECATED_VERSIONS: Option<VersionRange> = crates::ShareAcknowledgeResponse::DEPRECATED_VERSIONS;
}

impl HeaderVersion for ShareAcknowledgeResponse {
    fn header_version(version: i16) -> i16 {
        crates::ShareAcknowledgeResponse::header_version(version)
    }
}

impl Decodable for ShareAcknowledgeResponse {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        use crates::share_acknowledge_response::{NodeEndpoint, ShareAcknowledgeTopicResponse};
        if version != RENEW_VERSION {
            return crates::ShareAcknowledgeResponse::decode(buf, version).map(Self::from);
        }
        let mut response = Self::default();
        response.base.throttle_time_ms = buf.try_get_i32()?;
        response.base.error_code = buf.try_get_i16()?;
        response.base.error_message = take_nullable_string(buf)?;
        response.acquisition_lock_timeout_ms = buf.try_get_i32()?;
        for _ in 0..take_count(buf)? {
            response.base.responses.push(ShareAcknowledgeTopicResponse::decode(buf, TOPICS_VERSION)?);
        }
        for _ in 0..take_count(buf)? {
            response.base.node_endpoints.push(NodeEndpoint::decode(buf, TOPICS_VERSION)?);
        }
        response.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(response)
    }
}

impl Encodable for ShareAcknowledgeResponse {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version != RENEW_VERSION {
            return self.base.encode(buf, version);
        }
        buf.put_i32(self.base.throttle_time_ms);
        buf.put_i16(self.base.error_code);
        put_nullable_string(buf, self.base.error_message.as_deref());
        buf.put_i32(self.acquisition_lock_timeout_ms);
        put_count(buf, self.base.responses.len());
        for topic in &self.base.responses {
            topic.encode(buf, TOPICS_VERSION)?;
        }
        put_count(buf, self.base.node_endpoints.len());
        for endpoint in &self.base.node_endpoints {
            endpoint.encode(buf, TOPICS_VERSION)?;
        }
        put_tags(buf, &self.base.unknown_tagged_fields);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        if version != RENEW_VERSION {
            return self.base.compute_size(version);
        }
        let mut bytes = 2 * size_of::<i32>()
            + size_of::<i16>()
            + nullable_string_bytes(self.base.error_message.as_deref())
            + count_bytes(self.base.responses.len())
            + count_bytes(self.base.node_endpoints.len())
            + tags_bytes(&self.base.unknown_tagged_fields);
        for topic in &self.base.responses {
            bytes += topic.compute_size(TOPICS_VERSION)?;
        }
        for endpoint in &self.base.node_endpoints {
            bytes += endpoint.compute_size(TOPICS_VERSION)?;
        }
        Ok(bytes)
    }
}
