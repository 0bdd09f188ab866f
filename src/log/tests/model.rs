//! Random appends, rolls and reads, compared with a list of batches.

use proptest::prelude::*;
use tempfile::TempDir;

use crate::config::LogConfig;
use crate::ids::Offset;
use crate::log::testing::{NOW_MS, append, batch, new_log, read_bytes};
use crate::protocol::batch::BatchHeader;

#[derive(Clone, Debug)]
enum Step {
    Append { records: i64, value_bytes: usize },
    Roll,
    Read { from: usize, max_bytes: usize, min_one_batch: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..5_i64, 0..400_usize).prop_map(|(records, value_bytes)| Step::Append { records, value_bytes }),
        1 => Just(Step::Roll),
        5 => (0..1000_usize, 0..3000_usize, any::<bool>())
            .prop_map(|(from, max_bytes, min_one_batch)| Step::Read { from, max_bytes, min_one_batch }),
    ]
}

/// What was appended, as it should be stored.
#[derive(Default)]
struct Model {
    batches: Vec<(Offset, Vec<u8>)>,
    end: Offset,
}

impl Model {
    /// The batches from the one with `from` on, ending anywhere.
    fn bytes_from(&self, from: Offset) -> (usize, Vec<u8>) {
        let first = self.batches.partition_point(|(base, _)| *base <= from).saturating_sub(1);
        let bytes = self.batches[first..].iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        (self.batches[first].1.len(), bytes)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn reads_what_was_appended(steps in prop::collection::vec(step(), 1..120)) {
        let root = TempDir::new().unwrap();
        let config = LogConfig { segment_bytes: 8000, index_interval_bytes: 600, ..LogConfig::default() };
        let log = new_log(root.path(), config);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append { records, value_bytes } => {
                    let sent = batch(records, value_bytes);
                    let appended = append(&log, &sent).unwrap();
                    prop_assert_eq!(appended.base_offset, model.end);
                    let mut stored = sent.to_vec();
                    stored[..8].copy_from_slice(&model.end.0.to_be_bytes());
                    stored[12..16].copy_from_slice(&3_i32.to_be_bytes());
                    model.batches.push((model.end, stored));
                    model.end = appended.last_offset.next();
                }
                Step::Roll => log.roll(NOW_MS).unwrap(),
                Step::Read { from, max_bytes, min_one_batch } if model.end.0 > 0 => {
                    let from = Offset(from as i64 % model.end.0);
                    let (first_bytes, expected) = model.bytes_from(from);
                    let found = read_bytes(&log, from.0, max_bytes, min_one_batch);
                    prop_assert!(expected.starts_with(&found));
                    prop_assert!(found.len() <= max_bytes || (min_one_batch && found.len() == first_bytes));
                    prop_assert!(!min_one_batch || found.len() >= first_bytes);
                    prop_assert!(first_bytes > max_bytes || found.len() >= first_bytes);
                    // Whole batches, and the next read goes on where this one ended.
                    let mut rest = &found[..];
                    let mut next = from;
                    while !rest.is_empty() {
                        let header = BatchHeader::read(rest).unwrap();
                        rest = &rest[header.size_bytes()..];
                        next = header.next_offset();
                    }
                    let read = log.read(from, max_bytes, min_one_batch, log.log_end_offset()).unwrap();
                    prop_assert_eq!(read.next_offset, next);
                }
                Step::Read { .. } => prop_assert!(log.read(Offset(1), 1, true, Offset(9)).is_err()),
            }
        }
        // Every single offset is found.
        for at in 0..model.end.0 {
            let (first_bytes, expected) = model.bytes_from(Offset(at));
            prop_assert_eq!(&read_bytes(&log, at, 1, true)[..], &expected[..first_bytes]);
        }
        let total: usize = model.batches.iter().map(|(_, bytes)| bytes.len()).sum();
        prop_assert_eq!(log.size_bytes(), total as u64);
    }
}
