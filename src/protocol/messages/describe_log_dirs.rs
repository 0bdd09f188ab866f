//! DescribeLogDirs up to version 5, which says of each directory whether it is cordoned: no new replicas go there
//! (KIP-1066).

use super::codec::{
    compact_string_bytes, count_bytes, put_compact_string, put_count, put_tags, tags_bytes, take_compact_string,
    take_count, take_tags,
};
use super::same_bytes_as_before;
use crate::protocol::wire::error::Result;
use crate::protocol::wire::messages as crates;
use crate::protocol::wire::protocol::buf::{ByteBuf, ByteBufMut};
use crate::protocol::wire::protocol::{Decodable, Encodable, HeaderVersion, Message, VersionRange};

const CORDONED_VERSION: i16 = 5;
/// The crate's newest; topics and partitions have not changed since.
const TOPICS_VERSION: i16 = 4;

same_bytes_as_before! {
    /// Asks what the log directories hold; versions 1 to 5.
    DescribeLogDirsRequest(crates::DescribeLogDirsRequest), up to 5
}

/// What the log directories hold; versions 1 to 5.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeLogDirsResponse {
    pub throttle_time_ms: i32,
    /// Version 3 on.
    pub error_code: i16,
    pub results: Vec<DescribeLogDirsResult>,
}

/// What one log directory holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeLogDirsResult {
    /// The fields of versions 1 to 4.
    pub base: crates::describe_log_dirs_response::DescribeLogDirsResult,
    /// Version 5 on.
    pub is_cordoned: bool,
}

impl From<crates::describe_log_dirs_response::DescribeLogDirsResult> for DescribeLogDirsResult {
    fn from(base: crates::describe_log_dirs_response::DescribeLogDirsResult) -> Self {
        Self { base, is_cordoned: false }
    }
}

impl DescribeLogDirsResponse {
    /// The response as the crate has it, without what version 5 adds.
    fn in_the_crates_form(&self) -> crates::DescribeLogDirsResponse {
        let mut response = crates::DescribeLogDirsResponse::default();
        response.throttle_time_ms = self.throttle_time_ms;
        response.error_code = self.error_code;
        response.results = self.results.iter().map(|result| result.base.clone()).collect();
        response
    }
}

impl Message for DescribeLogDirsResponse {
    const VERSIONS: VersionRange = VersionRange { min: 1, max: CORDONED_VERSION };
    const DEPRECATED_VERSIONS: Option<VersionRange> = crates::DescribeLogDirsResponse::DEPRECATED_VERSIONS;
}

impl HeaderVersion for DescribeLogDirsResponse {
    fn header_version(version: i16) -> i16 {
        crates::DescribeLogDirsResponse::header_version(version)
    }
}

impl Encodable for DescribeLogDirsResponse {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version != CORDONED_VERSION {
            return self.in_the_crates_form().encode(buf, version);
        }
        buf.put_i32(self.throttle_time_ms);
        buf.put_i16(self.error_code);
        put_count(buf, self.results.len());
        for result in &self.results {
            result.encode(buf)?;
        }
        put_tags(buf, &[].into());
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        if version != CORDONED_VERSION {
            return self.in_the_crates_form().compute_size(version);
        }
        let mut bytes =
            size_of::<i32>() + size_of::<i16>() + count_bytes(self.results.len()) + tags_bytes(&[].into());
        for result in &self.results {
            bytes += result.size_bytes()?;
        }
        Ok(bytes)
    }
}

impl Decodable for DescribeLogDirsResponse {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        if version != CORDONED_VERSION {
            let response = crates::DescribeLogDirsResponse::decode(buf, version)?;
            let results = response.results.into_iter().map(DescribeLogDirsResult::from).collect();
            let (throttle_time_ms, error_code) = (response.throttle_time_ms, response.error_code);
            return Ok(Self { throttle_time_ms, error_code, results });
        }
        let throttle_time_ms = buf.try_get_i32()?;
        let error_code = buf.try_get_i16()?;
        let mut results = Vec::new();
        for _ in 0..take_count(buf)? {
            results.push(DescribeLogDirsResult::decode(buf)?);
        }
        take_tags(buf)?;
        Ok(Self { throttle_time_ms, error_code, results })
    }
}

impl DescribeLogDirsResult {
    fn encode<B: ByteBufMut>(&self, buf: &mut B) -> Result<()> {
        buf.put_i16(self.base.error_code);
        put_compact_string(buf, &self.base.log_dir);
        put_count(buf, self.base.topics.len());
        for topic in &self.base.topics {
            topic.encode(buf, TOPICS_VERSION)?;
        }
        buf.put_i64(self.base.total_bytes);
        buf.put_i64(self.base.usable_bytes);
        buf.put_u8(u8::from(self.is_cordoned));
        put_tags(buf, &self.base.unknown_tagged_fields);
        Ok(())
    }

    fn size_bytes(&self) -> Result<usize> {
        let mut bytes = size_of::<i16>() + compact_string_bytes(&self.base.log_dir);
        bytes += count_bytes(self.base.topics.len());
        for topic in &self.base.topics {
            bytes += topic.compute_size(TOPICS_VERSION)?;
        }
        Ok(bytes + 2 * size_of::<i64>() + size_of::<bool>() + tags_bytes(&self.base.unknown_tagged_fields))
    }

    fn decode<B: ByteBuf>(buf: &mut B) -> Result<Self> {
        let mut result = Self::default();
        result.base.error_code = buf.try_get_i16()?;
        result.base.log_dir = take_compact_string(buf)?;
        for _ in 0..take_count(buf)? {
            let topic = crates::describe_log_dirs_response::DescribeLogDirsTopic::decode(buf, TOPICS_VERSION)?;
            result.base.topics.push(topic);
        }
        result.base.total_bytes = buf.try_get_i64()?;
        result.base.usable_bytes = buf.try_get_i64()?;
        result.is_cordoned = buf.try_get_u8()? != 0;
        result.base.unknown_tagged_fields = take_tags(buf)?;
        Ok(result)
    }
}
