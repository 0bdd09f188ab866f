//! Cutting the byte stream of a connection into size-capped frames.

use bytes::{Buf, Bytes, BytesMut};

use super::parts::{MAX_PARTS, PRODUCE, has_large_frames};

/// Bytes of the size field in front of each frame.
pub const SIZE_BYTES: usize = 4;
/// Bytes from which the cap of a frame can be told: its size and its API key.
const CAP_KNOWN_BYTES: usize = SIZE_BYTES + 2;
/// No request header is shorter: API key, version and correlation id.
pub const MIN_FRAME_BYTES: i32 = 8;

/// What legal input of the other APIs grows by when it is decoded and answered: a few bytes on the wire become a
/// structure with several vectors (35 times their size), and another one in the response. Records of a Produce request
/// stay slices of the frame.
const DECODED_FACTOR: usize = 64;
/// What a group keeps of a frame is copied out of it.
const KEPT_FACTOR: usize = 2;
/// What one part of a request takes that has no more than [`MAX_PARTS`] of them, beside its own bytes.
const PART_BYTES: usize = 512;
/// What a frame of the other APIs may always, and at most, hold.
const MIN_OTHER_BYTES: usize = 1024 * 1024;
const MAX_OTHER_BYTES: usize = 32 * 1024 * 1024;

/// How large a frame may be.
#[derive(Clone, Copy, Debug)]
pub struct FrameCaps {
    /// `socket.request.max.bytes`: for Produce, whose size is the client's batches, and for JoinGroup and SyncGroup, whose
    /// size is the members' subscriptions and assignments.
    pub large_bytes: i32,
    /// For every other API: none needs more, and decoding multiplies what arrives.
    pub other_bytes: i32,
}

impl FrameCaps {
    /// Caps under which no frame takes more than `memory_bytes` when it is decoded, large ones excepted.
    pub fn within(large_bytes: i32, memory_bytes: usize) -> Self {
        let other_bytes = (memory_bytes / DECODED_FACTOR).clamp(MIN_OTHER_BYTES, MAX_OTHER_BYTES);
        Self { large_bytes, other_bytes: other_bytes as i32 }
    }

    fn for_api(self, api_key: i16) -> i32 {
        if has_large_frames(api_key) { self.large_bytes } else { self.large_bytes.min(self.other_bytes) }
    }
}

/// A frame that cannot be one; the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame of {size_bytes} bytes is too short for a request header")]
    TooShort { size_bytes: i32 },
    #[error("frame of {size_bytes} bytes exceeds {cap_bytes} bytes, the most of any API")]
    TooLargeForAny { size_bytes: i32, cap_bytes: i32 },
    #[error("frame of {size_bytes} bytes for API key {api_key} exceeds {cap_bytes} bytes")]
    TooLarge { size_bytes: i32, api_key: i16, cap_bytes: i32 },
}

/// What the buffer holds at its front.
#[derive(Debug, PartialEq, Eq)]
pub enum Front {
    /// Not even the size is there.
    Unknown,
    /// The frame's size is known and allowed; this many bytes of it, size field included, make it whole. Decoded, it
    /// takes up to `decoded_bytes`.
    Partial { total_bytes: usize, decoded_bytes: usize },
    /// It is there; decoded, it takes up to `decoded_bytes`.
    Whole { decoded_bytes: usize },
}

/// Looks at the front of the buffer without taking anything.
pub fn inspect(buffer: &BytesMut, caps: FrameCaps) -> Result<Front, FrameError> {
    if buffer.len() < SIZE_BYTES {
        return Ok(Front::Unknown);
    }
    let size_bytes = (&buffer[..]).get_i32();
    if size_bytes < MIN_FRAME_BYTES {
        return Err(FrameError::TooShort { size_bytes });
    }
    // Whoever sends such a size may send nothing more: do not wait for the API key.
    if size_bytes > caps.large_bytes {
        return Err(FrameError::TooLargeForAny { size_bytes, cap_bytes: caps.large_bytes });
    }
    if buffer.len() < CAP_KNOWN_BYTES {
        return Ok(Front::Unknown);
    }
    let api_key = (&buffer[SIZE_BYTES..]).get_i16();
    let cap_bytes = caps.for_api(api_key);
    if size_bytes > cap_bytes {
        return Err(FrameError::TooLarge { size_bytes, api_key, cap_bytes });
    }
    let total_bytes = SIZE_BYTES + size_bytes as usize;
    let decoded_bytes = decoded_bytes(total_bytes, api_key);
    if buffer.len() >= total_bytes {
        return Ok(Front::Whole { decoded_bytes });
    }
    Ok(Front::Partial { total_bytes, decoded_bytes })
}

fn decoded_bytes(total_bytes: usize, api_key: i16) -> usize {
    match api_key {
        PRODUCE => total_bytes,
        _ if has_large_frames(api_key) => {
            (total_bytes * DECODED_FACTOR).min(total_bytes * KEPT_FACTOR + MAX_PARTS * PART_BYTES)
        }
        _ => total_bytes * DECODED_FACTOR,
    }
}

/// Takes the whole frame at the front, without its size field. Only after [`inspect`] said [`Front::Whole`].
pub fn take(buffer: &mut BytesMut) -> Bytes {
    let size_bytes = buffer.get_i32() as usize;
    buffer.split_to(size_bytes).freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: FrameCaps = FrameCaps { large_bytes: 1000, other_bytes: 100 };

    fn front(bytes: &[u8]) -> Result<Front, FrameError> {
        inspect(&BytesMut::from(bytes), CAPS)
    }

    #[test]
    fn sizes_are_capped_per_api() {
        assert_eq!(front(&[0, 0, 0]), Ok(Front::Unknown));
        assert_eq!(front(&[0, 0, 0, 200]), Ok(Front::Unknown));
        assert_eq!(front(&[0, 0, 0, 200, 0, 0]), Ok(Front::Partial { total_bytes: 204, decoded_bytes: 204 }));
        let refused = FrameError::TooLarge { size_bytes: 200, api_key: 3, cap_bytes: 100 };
        assert_eq!(front(&[0, 0, 0, 200, 0, 3]), Err(refused));
        let refused = FrameError::TooLargeForAny { size_bytes: 1001, cap_bytes: 1000 };
        assert_eq!(front(&1001i32.to_be_bytes()), Err(refused));
        assert_eq!(front(&[0, 0, 0, 7]), Err(FrameError::TooShort { size_bytes: 7 }));
        assert_eq!(front(&[255, 255, 255, 255]), Err(FrameError::TooShort { size_bytes: -1 }));
    }

    #[test]
    fn what_groups_keep_may_be_large() {
        assert_eq!(front(&[0, 0, 0, 200, 0, 11]), Ok(Front::Partial { total_bytes: 204, decoded_bytes: 204 * 64 }));
        assert_eq!(decoded_bytes(50 << 20, 14), (100 << 20) + MAX_PARTS * PART_BYTES, "not 64 times as much");
        assert_eq!(
            front(&[0, 0, 0, 200, 0, 12]).unwrap_err(),
            FrameError::TooLarge { size_bytes: 200, api_key: 12, cap_bytes: 100 }
        );
    }

    #[test]
    fn what_decodes_to_more_than_the_memory_is_too_large() {
        let other_bytes = |memory_bytes| FrameCaps::within(i32::MAX, memory_bytes).other_bytes as usize;
        let memory_bytes = 256 << 20;
        assert!(other_bytes(memory_bytes) * DECODED_FACTOR <= memory_bytes);
        assert_eq!(other_bytes(1), MIN_OTHER_BYTES, "a small bound still lets a large cluster be described");
        assert_eq!(other_bytes(1 << 40), MAX_OTHER_BYTES);
    }

    #[test]
    fn whole_frames_are_taken_one_by_one() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 8, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0][..]);
        assert_eq!(inspect(&buffer, CAPS), Ok(Front::Whole { decoded_bytes: 12 * DECODED_FACTOR }));
        assert_eq!(&take(&mut buffer)[..], &[0, 3, 0, 0, 0, 0, 0, 1]);
        assert_eq!(&buffer[..], &[0, 0]);
    }
}
