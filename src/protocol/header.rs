//! Request and response headers.
//!
//! Source: KIP-482 (header versions), KIP-511 (ApiVersions always answers with response header v0).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::wire::messages::RequestHeader;
use super::wire::protocol::{Decodable, StrBytes};

/// The part of a request header that stands at the same place in every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPrefix {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
}

impl RequestPrefix {
    /// Reads the first 8 bytes of a frame; none where there are fewer.
    pub fn read(frame: &Bytes) -> Option<Self> {
        let mut bytes = &frame[..];
        if bytes.len() < 8 {
            return None;
        }
        Some(Self { api_key: bytes.get_i16(), api_version: bytes.get_i16(), correlation_id: bytes.get_i32() })
    }
}

/// A header that does not decode; the connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("request header: {0}")]
pub struct HeaderError(super::wire::ProtoError);

/// Reads the whole header and leaves `frame` at the body; answers the client id.
pub fn read_request_header(frame: &mut Bytes, flexible: bool) -> Result<Option<StrBytes>, HeaderError> {
    let version = if flexible { 2 } else { 1 };
    RequestHeader::decode(frame, version).map(|header| header.client_id).map_err(HeaderError)
}

/// Writes a response header: v1 (with empty tags) where the API's response is flexible, v0 otherwise.
pub fn write_response_header(buffer: &mut BytesMut, correlation_id: i32, flexible: bool) {
    buffer.put_i32(correlation_id);
    if flexible {
        buffer.put_u8(0);
    }
}
