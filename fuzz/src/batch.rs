//! A record batch: its header, its records whatever their codec, and the same batch in every other codec.

use ottla::log::producer_state::EndTxnMarker;
use ottla::protocol::batch::{self, BatchError, BatchHeader, Compression, HEADER_BYTES};
use ottla::protocol::recompress::recompress;
use ottla::protocol::records::{BatchRecords, EndTransactionMarker};

const MAX_BYTES: usize = 1 << 20;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

pub fn run(data: &[u8]) {
    let header = match BatchHeader::read(data) {
        Ok(header) => header,
        Err(BatchError::Magic(magic)) => {
            assert_ne!(magic, batch::MAGIC_V2, "of the older formats nothing is read but that they are old");
            return;
        }
        Err(_) => return,
    };
    let _ = (header.last_offset(), header.next_offset(), header.last_sequence(), header.compression());
    let _ = EndTxnMarker::read(&header, data);
    let Ok(records) = BatchRecords::open(data, MAX_BYTES) else { return };
    assert!(records.bytes().len() <= MAX_BYTES);
    let sound = walk(&records);
    // A CRC is hard to guess, so it is set right; what the records say decides.
    let mut sealed = data[..header.size_bytes()].to_vec();
    batch::write_crc(&mut sealed);
    for codec in CODECS {
        let other = recompress(&sealed, codec, None, MAX_BYTES);
        assert_eq!(other.is_ok(), sound, "{codec:?}");
        let Ok(other) = other else { return };
        let (other_header, _) = batch::read_batch(&other).expect("a batch of ours is sound");
        assert_eq!(other_header.compression(), Ok(codec));
        assert_eq!(other[..8], sealed[..8], "the offset stays");
        assert_eq!(other[batch_fields()], sealed[batch_fields()], "{codec:?}");
        let opened = BatchRecords::open(&other, MAX_BYTES).expect("a batch of ours opens");
        assert_eq!(opened.bytes(), records.bytes(), "{codec:?}");
    }
}

/// All that a header says behind its attributes.
fn batch_fields() -> std::ops::Range<usize> {
    23..HEADER_BYTES
}

/// Whether all records can be read.
fn walk(records: &BatchRecords<'_>) -> bool {
    let mut walked_bytes = 0;
    for record in records.walk() {
        let Ok(record) = record else { return false };
        walked_bytes += record.size_bytes;
        assert_eq!(record.headers.iter().count(), record.headers.len());
        let _ = (record.offset(&records.header), record.timestamp_ms(&records.header));
        let _ = EndTransactionMarker::read(record.key, record.value);
    }
    assert_eq!(walked_bytes, records.bytes().len());
    true
}
