//! A record batch: its header, its records whatever their codec, and the same batch in another codec.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla::protocol::batch::{self, BatchHeader, Compression, HEADER_BYTES};
use ottla::protocol::recompress::recompress;
use ottla::protocol::records::{BatchRecords, EndTransactionMarker};

const MAX_BYTES: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Ok(header) = BatchHeader::read(data) else { return };
    let _ = (header.last_offset(), header.next_offset(), header.last_sequence(), header.compression());
    let Ok(records) = BatchRecords::open(data, MAX_BYTES) else { return };
    assert!(records.bytes().len() <= MAX_BYTES);
    let mut walked_bytes = 0;
    let mut sound = true;
    for record in records.walk() {
        let Ok(record) = record else {
            sound = false;
            break;
        };
        walked_bytes += record.size_bytes;
        assert_eq!(record.headers.iter().count(), record.headers.len());
        let _ = (record.offset(&header), record.timestamp_ms(&header));
        let _ = EndTransactionMarker::read(record.key, record.value);
    }
    // A CRC is hard to guess, so it is set right; what the records say decides.
    let mut sealed = data[..header.size_bytes()].to_vec();
    batch::write_crc(&mut sealed);
    let plain = recompress(&sealed, Compression::None, None, MAX_BYTES);
    assert_eq!(plain.is_ok(), sound);
    if let Ok(plain) = plain {
        assert_eq!(walked_bytes, records.bytes().len());
        assert_eq!(&plain[HEADER_BYTES..], records.bytes());
        batch::read_batch(&plain).expect("a batch of ours is sound");
    }
});
