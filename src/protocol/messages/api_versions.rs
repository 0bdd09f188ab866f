//! ApiVersions up to version 5, with which a client says what it means to talk to (KIP-1242): a broker of another
//! cluster or of another node id answers REBOOTSTRAP_REQUIRED.

use super::codec::{
    compact_string_bytes, nullable_string_bytes, put_compact_string, put_nullable_string, put_tags, tags_bytes,
    take_compact_string, take_nullable_string, take_tags,
};
use super::same_bytes_as_before;
use crate::protocol::wire::error::Result;
use crate::protocol::wire::messages as crates;
use crate::protocol::wire::protocol::buf::{ByteBuf, ByteBufMut};
use crate::protocol::wire::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};

const CLUSTER_AND_NODE_VERSION: i16 = 5;

/// Asks which versions the broker speaks; versions 0 to 5.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiVersionsRequest {
    /// The fields of versions 0 to 4.
    pub base: crates::ApiVersionsRequest,
    /// The cluster that the client means; version 5 on.
    pub cluster_id: Option<StrBytes>,
    /// The broker that the client means, or -1; version 5 on.
    pub node_id: i32,
}

impl Default for ApiVersionsRequest {
    fn default() -> Self {
        Self { base: crates::ApiVersionsRequest::default(), cluster_id: None, node_id: -1 }
    }
}

impl From<crates::ApiVersionsRequest> for ApiVersionsRequest {
    fn from(base: crates::ApiVersionsRequest) -> Self {
        Self { base, ..Self::default() }
    }
}

impl Message for ApiVersionsRequest {
    const VERSIONS: VersionRange = VersionRange { min: 0, max: CLUSTER_AND_NODE_VERSION };
    const DEPRECATED_VERSIONS: Option<VersionRange> = crates::ApiVersionsRequest::DEPRECATED_VERSIONS;
}

impl HeaderVersion for ApiVersionsRequest {
    fn header_version(version: i16) -> i16 {
        crates::ApiVersionsRequest::header_version(version)
    }
}

impl Decodable for ApiVersionsRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        if version != CLUSTER_AND_NODE_VERSION {
            return crates::ApiVersionsRequest::decode(buf, version).map(Self::from);
        }
        let mut request = Self::default();
        request.base.client_software_name = take_compact_string(buf)?;
        request.base.client_software_version = take_compact_string(buf)?;
        request.cluster_id = take_nullable_string(buf)?;
        request.node_id = buf.try_get_i32()?;
        request.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(request)
    }
}

impl Encodable for ApiVersionsRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version != CLUSTER_AND_NODE_VERSION {
            return self.base.encode(buf, version);
        }
        put_compact_string(buf, &self.base.client_software_name);
        put_compact_string(buf, &self.base.client_software_version);
        put_nullable_string(buf, self.cluster_id.as_deref());
        buf.put_i32(self.node_id);
        put_tags(buf, &self.base.unknown_tagged_fields);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        if version != CLUSTER_AND_NODE_VERSION {
            return self.base.compute_size(version);
        }
        Ok(compact_string_bytes(&self.base.client_software_name)
            + compact_string_bytes(&self.base.client_software_version)
            + nullable_string_bytes(self.cluster_id.as_deref())
            + size_of::<i32>()
            + tags_bytes(&self.base.unknown_tagged_fields))
    }
}

same_bytes_as_before! {
    /// The versions that the broker speaks; versions 0 to 5. Its header is always version 0 (KIP-511).
    ApiVersionsResponse(crates::ApiVersionsResponse), up to 5
}
