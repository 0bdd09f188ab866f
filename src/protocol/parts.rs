//! How many parts a request has whose frame may be large, told before it is decoded.
//!
//! Such a frame may be large because of what the client's own bytes take: records, subscriptions, assignments. They stay
//! slices of it. But a partition without records takes 6 bytes on the wire and a hundred times as much once it is decoded
//! and answered, so that only the number of parts bounds the memory of a large frame.

use bytes::Buf;

use super::varint::take_unsigned;

/// Elements of arrays and tagged fields of one request: more than any client's batches fill, and more members than a
/// group can sync.
pub const MAX_PARTS: usize = 50_000;

pub const PRODUCE: i16 = 0;
pub const JOIN_GROUP: i16 = 11;
pub const SYNC_GROUP: i16 = 14;

/// API key, version, correlation id.
const PREFIX_BYTES: usize = 8;
const UUID_BYTES: usize = 16;

/// The APIs whose frames may be large.
pub const fn has_large_frames(api_key: i16) -> bool {
    matches!(api_key, PRODUCE | JOIN_GROUP | SYNC_GROUP)
}

/// Whether the frame, of one of those APIs, holds more than [`MAX_PARTS`]. A frame that is cut or wrong behind fewer is
/// left to the decoder to refuse.
pub fn has_too_many_parts(frame: &[u8], api_key: i16, version: i16) -> bool {
    let is_flexible = match api_key {
        PRODUCE => version >= 9,
        JOIN_GROUP => version >= 6,
        SYNC_GROUP => version >= 4,
        _ => return false,
    };
    let mut walk = Walk { rest: frame, parts: 0, is_flexible };
    let walked = walk.header().and_then(|()| match api_key {
        PRODUCE => walk.produce(version),
        JOIN_GROUP => walk.join_group(version),
        _ => walk.sync_group(version),
    });
    matches!(walked, Err(Stop::TooMany))
}

enum Stop {
    TooMany,
    Malformed,
}

struct Walk<'a> {
    rest: &'a [u8],
    parts: usize,
    is_flexible: bool,
}

impl Walk<'_> {
    fn header(&mut self) -> Result<(), Stop> {
        self.skip(PREFIX_BYTES)?;
        // The client id has a length of two bytes in every header.
        self.skip_behind_i16()?;
        self.tags()
    }

    fn produce(&mut self, version: i16) -> Result<(), Stop> {
        self.string()?;
        self.skip(2 + 4)?;
        for _ in 0..self.array()? {
            if version >= 13 {
                self.skip(UUID_BYTES)?;
            } else {
                self.string()?;
            }
            for _ in 0..self.array()? {
                self.skip(4)?;
                self.bytes()?;
                self.tags()?;
            }
            self.tags()?;
        }
        self.tags()
    }

    fn join_group(&mut self, version: i16) -> Result<(), Stop> {
        self.string()?;
        self.skip(if version >= 1 { 4 + 4 } else { 4 })?;
        self.string()?;
        if version >= 5 {
            self.string()?;
        }
        self.string()?;
        self.named_bytes()?;
        if version >= 8 {
            self.string()?;
        }
        self.tags()
    }

    fn sync_group(&mut self, version: i16) -> Result<(), Stop> {
        self.string()?;
        self.skip(4)?;
        self.string()?;
        if version >= 3 {
            self.string()?;
        }
        if version >= 5 {
            self.string()?;
            self.string()?;
        }
        self.named_bytes()?;
        self.tags()
    }

    fn named_bytes(&mut self) -> Result<(), Stop> {
        for _ in 0..self.array()? {
            self.string()?;
            self.bytes()?;
            self.tags()?;
        }
        Ok(())
    }

    /// The length of an array; its elements are counted.
    fn array(&mut self) -> Result<usize, Stop> {
        let length = if self.is_flexible { self.unsigned()?.saturating_sub(1) } else { self.i32()?.max(0) as usize };
        self.count(length)?;
        Ok(length)
    }

    fn tags(&mut self) -> Result<(), Stop> {
        if !self.is_flexible {
            return Ok(());
        }
        let length = self.unsigned()?;
        self.count(length)?;
        for _ in 0..length {
            self.unsigned()?;
            let bytes = self.unsigned()?;
            self.skip(bytes)?;
        }
        Ok(())
    }

    fn count(&mut self, parts: usize) -> Result<(), Stop> {
        self.parts = self.parts.saturating_add(parts);
        if self.parts > MAX_PARTS { Err(Stop::TooMany) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<(), Stop> {
        if !self.is_flexible {
            return self.skip_behind_i16();
        }
        let bytes = self.unsigned()?.saturating_sub(1);
        self.skip(bytes)
    }

    fn bytes(&mut self) -> Result<(), Stop> {
        let bytes = if self.is_flexible { self.unsigned()?.saturating_sub(1) } else { self.i32()?.max(0) as usize };
        self.skip(bytes)
    }

    fn skip_behind_i16(&mut self) -> Result<(), Stop> {
        let bytes = self.rest.try_get_i16().map_err(|_short| Stop::Malformed)?;
        self.skip(bytes.max(0) as usize)
    }

    fn i32(&mut self) -> Result<i32, Stop> {
        self.rest.try_get_i32().map_err(|_short| Stop::Malformed)
    }

    fn unsigned(&mut self) -> Result<usize, Stop> {
        take_unsigned(&mut self.rest).map(|value| value as usize).map_err(|_wrong| Stop::Malformed)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Stop> {
        self.rest = self.rest.get(bytes..).ok_or(Stop::Malformed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};

    use super::*;
    use crate::protocol::wire::messages::join_group_request::JoinGroupRequestProtocol;
    use crate::protocol::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use crate::protocol::wire::messages::sync_group_request::SyncGroupRequestAssignment;
    use crate::protocol::wire::messages::{JoinGroupRequest, ProduceRequest, RequestHeader, SyncGroupRequest};
    use crate::protocol::wire::protocol::{Encodable, HeaderVersion, StrBytes};

    fn frame<R: Encodable + HeaderVersion>(request: &R, version: i16) -> BytesMut {
        let mut header = RequestHeader::default();
        header.request_api_version = version;
        header.client_id = Some(StrBytes::from_static_str("client"));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, R::header_version(version)).unwrap();
        request.encode(&mut frame, version).unwrap();
        frame
    }

    fn produce(version: i16, topics: usize, partitions: usize) -> BytesMut {
        let mut topic = TopicProduceData::default();
        topic.partition_data = vec![PartitionProduceData::default(); partitions];
        for data in &mut topic.partition_data {
            data.records = Some(vec![7; 5].into());
        }
        let mut request = ProduceRequest::default();
        request.topic_data = vec![topic; topics];
        frame(&request, version)
    }

    #[test]
    fn topics_and_partitions_count() {
        for version in 3..=13 {
            for (topics, partitions, too_many) in
                [(1, 1, false), (2, 24_999, false), (1, 49_999, false), (1, 50_000, true), (50_001, 0, true)]
            {
                let frame = produce(version, topics, partitions);
                assert_eq!(
                    has_too_many_parts(&frame, PRODUCE, version),
                    too_many,
                    "v{version}: {topics} x {partitions}"
                );
            }
        }
    }

    #[test]
    fn protocols_and_assignments_count() {
        for (count, too_many) in [(0, false), (MAX_PARTS, false), (MAX_PARTS + 1, true)] {
            let mut protocol = JoinGroupRequestProtocol::default();
            protocol.name = StrBytes::from_static_str("range");
            protocol.metadata = vec![7; 3].into();
            let mut join = JoinGroupRequest::default();
            join.group_id = StrBytes::from_static_str("group").into();
            join.protocols = vec![protocol; count];
            for version in 0..=9 {
                assert_eq!(has_too_many_parts(&frame(&join, version), JOIN_GROUP, version), too_many, "v{version}");
            }
            let mut assignment = SyncGroupRequestAssignment::default();
            assignment.member_id = StrBytes::from_static_str("member");
            assignment.assignment = vec![7; 3].into();
            let mut sync = SyncGroupRequest::default();
            sync.group_id = StrBytes::from_static_str("group").into();
            sync.assignments = vec![assignment; count];
            for version in 0..=5 {
                assert_eq!(has_too_many_parts(&frame(&sync, version), SYNC_GROUP, version), too_many, "v{version}");
            }
        }
    }

    #[test]
    fn a_claim_is_enough_and_what_is_cut_is_left_to_the_decoder() {
        let whole = produce(9, 2, 3);
        for length in 0..=whole.len() {
            assert!(!has_too_many_parts(&whole[..length], PRODUCE, 9), "cut at {length}");
        }
        let mut tagged = BytesMut::new();
        tagged.put_slice(&[0, 0, 0, 9, 0, 0, 0, 0]);
        tagged.put_i16(-1);
        tagged.put_slice(&[0xff, 0xff, 0xff, 0x7f]);
        assert!(has_too_many_parts(&tagged, PRODUCE, 9), "tagged fields of the header");
    }
}
