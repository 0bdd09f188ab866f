//! How much room the records of a batch may take once they are decompressed, and how many batches may take much.

use parking_lot::Mutex;

use crate::io::relieving_worker;
use crate::protocol::recompress::RecompressError;
use crate::protocol::records::RecordsError;

/// Decompressed records may take this much: compression of real records stays far below, and a bomb ends here.
const LIMIT_BYTES: usize = 64 << 20;
/// Batches larger than Kafka's default allows (`max.message.bytes`) may take this much for every byte.
const LARGE_BATCH_EXPANSION: usize = 8;

/// As many batches as there are workers may take this much at the same time.
const EVERYBODYS_BYTES: usize = 4 << 20;

/// Held by the one batch of the process whose records may take more.
static LARGE_RECORDS: Mutex<()> = Mutex::new(());

/// Does `work` on a batch of `batch_bytes`, telling it how many bytes the records may take. It is done again where a
/// small room was not enough: then one at a time, and beside the workers, since it takes 0.1 s or so.
pub(super) fn open_records<T, E: TooLarge>(
    batch_bytes: usize,
    mut work: impl FnMut(usize) -> Result<T, E>,
) -> Result<T, E> {
    let limit_bytes = limit_bytes(batch_bytes);
    match work(EVERYBODYS_BYTES) {
        Err(error) if error.is_too_large() => relieving_worker(|| {
            let _alone = LARGE_RECORDS.lock();
            work(limit_bytes)
        }),
        done => done,
    }
}

/// An error that may mean that the records take more than they may.
pub(super) trait TooLarge {
    fn is_too_large(&self) -> bool;
}

impl TooLarge for RecordsError {
    fn is_too_large(&self) -> bool {
        matches!(self, Self::Compression(error) if error.is_too_large())
    }
}

impl TooLarge for RecompressError {
    fn is_too_large(&self) -> bool {
        matches!(self, Self::Records(error) if error.is_too_large())
    }
}

fn limit_bytes(batch_bytes: usize) -> usize {
    LIMIT_BYTES.max(batch_bytes.saturating_mul(LARGE_BATCH_EXPANSION))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::protocol::compression::CompressionError;

    #[test]
    fn a_batch_may_decompress_to_a_bounded_size() {
        let limit_mib = |batch_bytes| limit_bytes(batch_bytes) >> 20;
        assert_eq!(limit_mib(100), 64);
        assert_eq!(limit_mib(1 << 20), 64);
        assert_eq!(limit_mib(100 << 20), 800, "a topic whose max.message.bytes was raised is in earnest");
    }

    #[test]
    fn only_what_is_too_large_for_everybody_is_opened_alone() {
        let limits = RefCell::new(Vec::new());
        let needs = |bytes: usize| {
            limits.take();
            let done = open_records(1 << 20, |max_bytes: usize| {
                limits.borrow_mut().push((max_bytes >> 20, LARGE_RECORDS.is_locked()));
                if bytes <= max_bytes {
                    return Ok(());
                }
                Err(RecordsError::Compression(CompressionError::TooLarge { codec: "zstd", max_bytes }))
            });
            (done.is_ok(), limits.borrow().clone())
        };
        assert_eq!(needs(4 << 20), (true, vec![(4, false)]));
        assert_eq!(needs(5 << 20), (true, vec![(4, false), (64, true)]));
        assert_eq!(needs(65 << 20), (false, vec![(4, false), (64, true)]));
    }
}
