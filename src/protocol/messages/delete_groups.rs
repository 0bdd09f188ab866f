//! DeleteGroups up to version 3, whose response says beside a group's error what was wrong.

use super::codec::{
    compact_string_bytes, count_bytes, nullable_string_bytes, put_compact_string, put_count, put_nullable_string,
    put_tags, tags_bytes, take_compact_string, take_count, take_nullable_string, take_tags,
};
use super::same_bytes_as_before;
use crate::protocol::wire::error::Result;
use crate::protocol::wire::messages as crates;
use crate::protocol::wire::protocol::buf::{ByteBuf, ByteBufMut};
use crate::protocol::wire::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};

const ERROR_MESSAGE_VERSION: i16 = 3;

same_bytes_as_before! {
    /// Deletes groups; versions 0 to 3.
    DeleteGroupsRequest(crates::DeleteGroupsRequest), up to 3
}

/// What became of the groups; versions 0 to 3.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteGroupsResponse {
    /// All fields but the results.
    pub base: crates::DeleteGroupsResponse,
    pub results: Vec<DeletableGroupResult>,
}

/// What became of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeletableGroupResult {
    /// The fields of versions 0 to 2.
    pub base: crates::delete_groups_response::DeletableGroupResult,
    /// Version 3 on.
    pub error_message: Option<StrBytes>,
}

impl From<crates::delete_groups_response::DeletableGroupResult> for DeletableGroupResult {
    fn from(base: crates::delete_groups_response::DeletableGroupResult) -> Self {
        Self { base, error_message: None }
    }
}

impl DeleteGroupsResponse {
    /// The response as the crate has it, without what version 3 adds.
    fn in_the_crates_form(&self) -> crates::DeleteGroupsResponse {
        let mut response = self.base.clone();
        response.results = self.results.iter().map(|result| result.base.clone()).collect();
        response
    }
}

impl Message for DeleteGroupsResponse {
    const VERSIONS: VersionRange = VersionRange { min: 0, max: ERROR_MESSAGE_VERSION };
    const DEPRECATED_VERSIONS: Option<VersionRange> = crates::DeleteGroupsResponse::DEPRECATED_VERSIONS;
}

impl HeaderVersion for DeleteGroupsResponse {
    fn header_version(version: i16) -> i16 {
        crates::DeleteGroupsResponse::header_version(version)
    }
}

impl Encodable for DeleteGroupsResponse {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version != ERROR_MESSAGE_VERSION {
            return self.in_the_crates_form().encode(buf, version);
        }
        buf.put_i32(self.base.throttle_time_ms);
        put_count(buf, self.results.len());
        for result in &self.results {
            result.encode(buf);
        }
        put_tags(buf, &self.base.unknown_tagged_fields);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        if version != ERROR_MESSAGE_VERSION {
            return self.in_the_crates_form().compute_size(version);
        }
        let results: usize = self.results.iter().map(DeletableGroupResult::size_bytes).sum();
        let tags = tags_bytes(&self.base.unknown_tagged_fields);
        Ok(size_of::<i32>() + count_bytes(self.results.len()) + results + tags)
    }
}

impl Decodable for DeleteGroupsResponse {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        if version != ERROR_MESSAGE_VERSION {
            let mut base = crates::DeleteGroupsResponse::decode(buf, version)?;
            let results = std::mem::take(&mut base.results).into_iter().map(DeletableGroupResult::from).collect();
            return Ok(Self { base, results });
        }
        let mut response = Self::default();
        response.base.throttle_time_ms = buf.try_get_i32()?;
        for _ in 0..take_count(buf)? {
            response.results.push(DeletableGroupResult::decode(buf)?);
        }
        response.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(response)
    }
}

impl DeletableGroupResult {
    fn encode<B: ByteBufMut>(&self, buf: &mut B) {
        put_compact_string(buf, &self.base.group_id);
        buf.put_i16(self.base.error_code);
        put_nullable_string(buf, self.error_message.as_deref());
        put_tags(buf, &self.base.unknown_tagged_fields);
    }

    fn size_bytes(&self) -> usize {
        compact_string_bytes(&self.base.group_id)
            + size_of::<i16>()
            + nullable_string_bytes(self.error_message.as_deref())
            + tags_bytes(&self.base.unknown_tagged_fields)
    }

    fn decode<B: ByteBuf>(buf: &mut B) -> Result<Self> {
        let mut result = Self::default();
        result.base.group_id = crates::GroupId(take_compact_string(buf)?);
        result.base.error_code = buf.try_get_i16()?;
        result.error_message = take_nullable_string(buf)?;
        result.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(result)
    }
}
