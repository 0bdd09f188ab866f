//! Compressed data, the first byte choosing the codec: never more than the cap comes out.

use ottla::protocol::batch::Compression;
use ottla::protocol::compression::{compress, decompress};

const MAX_BYTES: usize = 1 << 20;

pub fn run(data: &[u8]) {
    let Some((&codec, input)) = data.split_first() else { return };
    let Ok(kind) = Compression::try_from(i16::from(codec)) else { return };
    if let Ok(output) = decompress(kind, input, MAX_BYTES) {
        assert!(output.len() <= MAX_BYTES);
    }
    let compressed = compress(kind, None, input).expect("anything can be compressed");
    assert_eq!(*decompress(kind, &compressed, input.len()).expect("what was compressed opens again"), *input);
}
