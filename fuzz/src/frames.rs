//! A connection's bytes, cut into frames.

use bytes::BytesMut;
use ottla::protocol::frame::{self, FrameCaps, FrameError, Front};
use ottla::protocol::header::RequestPrefix;
use ottla::protocol::parts::has_large_frames;

const CAPS: FrameCaps = FrameCaps { large_bytes: 4096, other_bytes: 1024 };

pub fn run(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    loop {
        let front = frame::inspect(&buffer, CAPS);
        check_arrival(&buffer, &front);
        if !matches!(front, Ok(Front::Whole { .. })) {
            return;
        }
        let before = buffer.len();
        let frame = frame::take(&mut buffer);
        assert_eq!(before, frame::SIZE_BYTES + frame.len() + buffer.len());
        let prefix = RequestPrefix::read(&frame).expect("a frame that was let through holds a prefix");
        let cap_bytes = if has_large_frames(prefix.api_key) { CAPS.large_bytes } else { CAPS.other_bytes };
        assert!(frame.len() <= cap_bytes as usize);
    }
}

/// However few bytes are there yet, nothing else is said of the frame than when all of them are.
fn check_arrival(buffer: &BytesMut, whole: &Result<Front, FrameError>) {
    let size_bytes = match whole {
        Ok(Front::Whole { .. }) => frame::SIZE_BYTES + frame::take(&mut buffer.clone()).len(),
        _ => buffer.len(),
    };
    for arrived in [0, 1, 3, 4, 5, 6, 7, size_bytes.saturating_sub(1)] {
        if arrived >= size_bytes {
            continue;
        }
        match (frame::inspect(&BytesMut::from(&buffer[..arrived]), CAPS), whole) {
            (Ok(Front::Unknown), _) => assert!(arrived < 6),
            (Ok(Front::Partial { total_bytes, decoded_bytes }), Ok(front)) => {
                assert!(decoded_bytes >= total_bytes);
                match front {
                    Front::Whole { decoded_bytes: known } => {
                        assert_eq!((total_bytes, decoded_bytes), (size_bytes, *known));
                    }
                    Front::Partial { total_bytes: known, .. } => assert_eq!(total_bytes, *known),
                    Front::Unknown => panic!("{total_bytes} bytes are known of, and then not any more"),
                }
            }
            (Err(early), Err(error)) => assert_eq!(early, *error),
            (early, late) => panic!("{arrived} bytes say {early:?}, all of them {late:?}"),
        }
    }
}
