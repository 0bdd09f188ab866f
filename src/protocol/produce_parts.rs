//! How many parts a Produce request has, told before it is decoded.
//!
//! Its frame may be large because its records are; they stay slices of it. But a partition without records takes 6
//! bytes on the wire and a hundred times as much once it is decoded and answered, so that only their number bounds the
//! memory of a large frame.

use bytes::Buf;

use super::varint::take_unsigned;

/// Topics, partitions and tagged fields of one request: more than any client's batches fill.
pub const MAX_PRODUCE_PARTS: usize = 50_000;

const FLEXIBLE_SINCE: i16 = 9;
const TOPIC_IDS_SINCE: i16 = 13;
/// API key, version, correlation id.
const PREFIX_BYTES: usize = 8;
const UUID_BYTES: usize = 16;

/// Whether the frame holds more than [`MAX_PRODUCE_PARTS`]. A frame that is cut or wrong behind fewer is left to the
/// decoder to refuse.
pub fn has_too_many_parts(frame: &[u8], version: i16) -> bool {
    let mut walk = Walk { rest: frame, parts: 0, is_flexible: version >= FLEXIBLE_SINCE };
    matches!(walk.request(version), Err(Stop::TooMany))
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
    fn request(&mut self, version: i16) -> Result<(), Stop> {
        self.skip(PREFIX_BYTES)?;
        // The client id has a length of two bytes in every header.
        self.skip_behind_i16()?;
        self.tags()?;
        self.string()?;
        self.skip(2 + 4)?;
        for _ in 0..self.array()? {
            if version >= TOPIC_IDS_SINCE {
                self.skip(UUID_BYTES)?;
            } else {
                self.string()?;
            }
            for _ in 0..self.array()? {
                self.skip(4)?;
                self.records()?;
                self.tags()?;
            }
            self.tags()?;
        }
        self.tags()
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
        if self.parts > MAX_PRODUCE_PARTS { Err(Stop::TooMany) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<(), Stop> {
        if !self.is_flexible {
            return self.skip_behind_i16();
        }
        let bytes = self.unsigned()?.saturating_sub(1);
        self.skip(bytes)
    }

    fn records(&mut self) -> Result<(), Stop> {
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
    use crate::protocol::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use crate::protocol::wire::messages::{ProduceRequest, RequestHeader};
    use crate::protocol::wire::protocol::{Encodable, StrBytes};

    fn frame(version: i16, topics: usize, partitions: usize) -> BytesMut {
        let mut header = RequestHeader::default();
        header.request_api_version = version;
        header.client_id = Some(StrBytes::from_static_str("client"));
        let mut topic = TopicProduceData::default();
        topic.partition_data = vec![PartitionProduceData::default(); partitions];
        for data in &mut topic.partition_data {
            data.records = Some(vec![7; 5].into());
        }
        let mut request = ProduceRequest::default();
        request.topic_data = vec![topic; topics];
        let mut frame = BytesMut::new();
        header.encode(&mut frame, if version >= FLEXIBLE_SINCE { 2 } else { 1 }).unwrap();
        request.encode(&mut frame, version).unwrap();
        frame
    }

    #[test]
    fn topics_and_partitions_count() {
        for version in 3..=13 {
            for (topics, partitions, too_many) in
                [(1, 1, false), (2, 24_999, false), (1, 49_999, false), (1, 50_000, true), (50_001, 0, true)]
            {
                let frame = frame(version, topics, partitions);
                assert_eq!(has_too_many_parts(&frame, version), too_many, "v{version}: {topics} x {partitions}");
            }
        }
    }

    #[test]
    fn a_claim_is_enough_and_what_is_cut_is_left_to_the_decoder() {
        let whole = frame(9, 2, 3);
        for length in 0..=whole.len() {
            assert!(!has_too_many_parts(&whole[..length], 9), "cut at {length}");
        }
        let mut tagged = BytesMut::new();
        tagged.put_slice(&[0, 0, 0, 9, 0, 0, 0, 0]);
        tagged.put_i16(-1);
        tagged.put_slice(&[0xff, 0xff, 0xff, 0x7f]);
        assert!(has_too_many_parts(&tagged, 9), "tagged fields of the header");
    }
}
