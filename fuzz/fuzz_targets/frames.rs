//! A connection's bytes, cut into frames and read up to the body.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use ottla::protocol::frame::{self, FrameCaps, Front};
use ottla::protocol::header::{self, RequestPrefix};

const CAPS: FrameCaps = FrameCaps { produce_bytes: 4096, other_bytes: 1024 };

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    while let Ok(Front::Whole) = frame::inspect(&buffer, CAPS) {
        let before = buffer.len();
        let frame = frame::take(&mut buffer);
        assert_eq!(before, frame::SIZE_BYTES + frame.len() + buffer.len());
        assert!(frame.len() <= CAPS.produce_bytes as usize);
        let prefix = RequestPrefix::read(&frame).expect("a frame that was let through holds a prefix");
        for flexible in [false, true] {
            let mut body = frame.clone();
            if header::read_request_header(&mut body, flexible).is_ok() {
                assert!(body.len() < frame.len(), "{prefix:?}");
            }
        }
    }
});
