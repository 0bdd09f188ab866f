use proptest::prelude::*;

use super::*;
use crate::protocol::batch::HEADER_BYTES;
use crate::protocol::records::golden::{self, unhex};

const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const MAX_BYTES: usize = 4 << 20;

/// Text that compresses about as logs do.
fn text(bytes: usize) -> Vec<u8> {
    let lines = (0u64..).flat_map(|n| format!("{} GET /topics/{} 200\n", n * 7919, n % 97).into_bytes());
    lines.take(bytes).collect()
}

fn round_trip(kind: Compression, level: Option<i32>, input: &[u8]) {
    let compressed = compress(kind, level, input).unwrap();
    let output = decompress(kind, &compressed, input.len()).unwrap();
    assert!(output == input, "{kind:?} at level {level:?}, {} bytes", input.len());
}

#[test]
fn every_codec_gives_back_what_it_took() {
    for kind in CODECS {
        for bytes in [1, 100, 32 * 1024, 32 * 1024 + 1, 64 * 1024, 300_000] {
            round_trip(kind, None, &text(bytes));
        }
        round_trip(kind, None, &vec![0; 100_000]);
    }
}

#[test]
fn every_level_works_and_levels_beyond_the_range_are_clamped() {
    let input = text(10_000);
    for kind in CODECS {
        for level in [i32::MIN, -131_072, -1, 0, 1, 2, 3, 6, 9, 12, 17, 22, i32::MAX] {
            round_trip(kind, Some(level), &input);
        }
    }
}

#[test]
fn nothing_is_copied_where_nothing_is_compressed() {
    assert!(matches!(decompress(Compression::None, b"abc", 3), Ok(Cow::Borrowed(b"abc"))));
    assert!(matches!(decompress(Compression::None, b"abc", 2), Err(CompressionError::TooLarge { .. })));
}

#[test]
fn the_cap_is_exact() {
    for kind in CODECS {
        for bytes in [1, 5000, 300_000] {
            let compressed = compress(kind, None, &text(bytes)).unwrap();
            assert_eq!(decompress(kind, &compressed, bytes).unwrap().len(), bytes);
            let error = decompress(kind, &compressed, bytes - 1).unwrap_err();
            assert!(matches!(error, CompressionError::TooLarge { .. }), "{kind:?} {bytes}: {error}");
        }
    }
}

#[test]
fn a_bomb_stops_at_the_cap() {
    let zeros = vec![0; 16 << 20];
    for kind in CODECS {
        let bomb = compress(kind, None, &zeros).unwrap();
        let error = decompress(kind, &bomb, 1 << 20).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, CompressionError::TooLarge { .. }), "{kind:?}: {text}");
        assert_eq!(text, format!("{} data holds more than the 1048576 bytes allowed", name(kind)));
    }
}

/// A frame that asks for a window of 128 MiB, as zstd's level 22 does for streams, needs no such window here.
#[test]
fn a_zstd_frame_with_the_largest_window_is_read() {
    let input = text(200_000);
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 22).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&input).unwrap();
    let stream = encoder.finish().unwrap();
    assert_eq!(*decompress(Compression::Zstd, &stream, MAX_BYTES).unwrap(), input);
}

/// A frame header may claim any size: the claim buys no memory beyond the cap.
#[test]
fn a_zstd_frame_that_lies_about_its_size_is_refused() {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    frame.extend_from_slice(&u64::MAX.wrapping_sub(2).to_le_bytes());
    frame.extend_from_slice(&[0x0b, 0, 0, b'x']);
    assert!(decompress(Compression::Zstd, &frame, MAX_BYTES).is_err());
}

#[test]
fn joined_members_and_frames_are_read_as_one() {
    for kind in [Compression::Gzip, Compression::Snappy, Compression::Zstd] {
        let joined = [compress(kind, None, b"one ").unwrap(), compress(kind, None, b"two").unwrap()].concat();
        assert_eq!(*decompress(kind, &joined, MAX_BYTES).unwrap(), *b"one two", "{kind:?}");
    }
}

/// librdkafka writes one raw snappy block; Java reads both forms.
#[test]
fn raw_snappy_is_read() {
    let input = text(100_000);
    let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
    assert_eq!(*decompress(Compression::Snappy, &raw, MAX_BYTES).unwrap(), input);
}

#[test]
fn snappy_and_lz4_are_framed_as_kafka_frames_them() {
    for (kind, golden, header_bytes) in
        [(Compression::Snappy, golden::SNAPPY, 16), (Compression::Lz4, golden::LZ4, 7)]
    {
        let plain = unhex(golden::NONE);
        let ours = compress(kind, None, &plain[HEADER_BYTES..]).unwrap();
        let kafkas = &unhex(golden)[HEADER_BYTES..];
        assert_eq!(ours[..header_bytes], kafkas[..header_bytes], "{kind:?}");
    }
}

#[test]
fn damage_names_codec_and_cause() {
    for kind in CODECS {
        let whole = compress(kind, None, &text(100_000)).unwrap();
        for bytes in [0, 1, 5, 10, 20, whole.len() / 2, whole.len() - 1] {
            let error = decompress(kind, &whole[..bytes], MAX_BYTES).map(|output| output.len());
            // A xerial stream may end behind its header or behind any block.
            if !(kind == Compression::Snappy && bytes == 16) {
                let error = error.unwrap_err().to_string();
                assert!(error.starts_with(&format!("{} data is corrupt: ", name(kind))), "{bytes}: {error}");
            }
        }
    }
    for kind in CODECS {
        assert!(decompress(kind, b"this is no compressed text", MAX_BYTES).is_err(), "{kind:?}");
    }
    let lz4 = [compress(Compression::Lz4, None, b"x").unwrap(), vec![0]].concat();
    assert!(decompress(Compression::Lz4, &lz4, MAX_BYTES).is_err());
}

#[test]
fn a_snappy_block_that_claims_too_much_is_refused_before_memory_is_taken() {
    // A raw block: length 2^31 - 1, then one literal byte.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x07, 0x00, b'x'];
    let error = decompress(Compression::Snappy, &claim, usize::MAX).unwrap_err();
    assert!(matches!(error, CompressionError::Corrupt { .. }), "{error}");
    let negative = [&unhex("82534e41505059000000000100000001ffffffff")[..], b"x"].concat();
    assert!(decompress(Compression::Snappy, &negative, MAX_BYTES).is_err());
}

proptest! {
    #[test]
    fn anything_comes_back(input in prop::collection::vec(any::<u8>(), 0..5000), level in prop::option::of(-5..25)) {
        for kind in CODECS {
            round_trip(kind, level, &input);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_exceed_the_cap(input in prop::collection::vec(any::<u8>(), 0..500)) {
        for kind in CODECS {
            if let Ok(output) = decompress(kind, &input, 1000) {
                prop_assert!(output.len() <= 1000);
            }
        }
    }

    #[test]
    fn damage_never_panics_and_never_exceeds_the_cap(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let input = text(3000);
        for kind in CODECS {
            let mut compressed = compress(kind, None, &input).unwrap();
            let at = at.index(compressed.len());
            compressed[at] = to;
            if let Ok(output) = decompress(kind, &compressed, 4000) {
                prop_assert!(output.len() <= 4000);
            }
        }
    }
}
