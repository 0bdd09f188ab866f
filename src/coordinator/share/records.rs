//! Kafka's records of `__share_group_state`: what has become of the records that share groups read (KIP-932).
//!
//! Owns: the bytes of keys and values, written by hand after the schemas in Kafka's `share-coordinator`, as version 4.3
//! writes them; [`crate::coordinator::record_codec`] says how they are laid out.
//! Never does: decide what a record means.

pub use crate::coordinator::record_codec::RecordError;
use crate::coordinator::record_codec::{records, schema, values_of_one_version};
use crate::ids::TopicId;

records! {
    /// One record of `__share_group_state`: a key and a value, or a tombstone.
    pub enum ShareRecord {
        /// The whole state of a share partition.
        0 => ShareSnapshot(ShareKey, ShareSnapshotValue),
        /// What has changed since the last snapshot.
        1 => ShareUpdate(ShareKey, ShareUpdateValue),
    }
}

values_of_one_version! {
    ShareSnapshotValue
    ShareUpdateValue
}

schema! {
    /// Names a share partition: a group and a partition that it reads.
    #[derive(Hash, PartialOrd, Ord)]
    pub struct ShareKey {
        group_id: String,
        topic_id: TopicId,
        partition: i32,
    }
}

schema! {
    /// The whole state of a share partition.
    pub struct ShareSnapshotValue {
        /// Grows by one with each snapshot; updates carry the epoch of theirs.
        snapshot_epoch: i32,
        /// Fences what was initialized before.
        state_epoch: i32,
        /// The epoch of the share partition's leader.
        leader_epoch: i32,
        /// The first offset that is not done with.
        start_offset: i64,
        create_timestamp_ms: i64,
        write_timestamp_ms: i64,
        state_batches: Vec<StateBatch>,
    }
    tags {
        /// The number of offsets from the start on that are done with, or -1 where it is unknown (KIP-1226).
        0 => delivery_complete_count: i32 = -1,
    }
}

schema! {
    /// What has changed in a share partition since its last snapshot.
    pub struct ShareUpdateValue {
        snapshot_epoch: i32,
        /// The epoch of the share partition's leader.
        leader_epoch: i32,
        /// The first offset that is not done with, or -1 where it has not moved.
        start_offset: i64,
        state_batches: Vec<StateBatch>,
    }
    tags {
        /// The number of offsets from the start on that are done with, or -1 where it is unknown (KIP-1226).
        0 => delivery_complete_count: i32 = -1,
    }
}

schema! {
    /// Offsets next to each other that have one state.
    pub struct StateBatch {
        first_offset: i64,
        last_offset: i64,
        /// 0 available, 2 acknowledged, 4 archived.
        delivery_state: i8,
        delivery_count: i16,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::coordinator::record_codec::testing::{goldens, round_trip};

    const GOLDEN: &str = include_str!("testdata/kafka-4.3.1.txt");

    #[test]
    fn records_are_read_and_written_as_kafka_does() {
        assert_eq!(goldens(GOLDEN).count(), 4 * 6);
        for golden in goldens(GOLDEN) {
            if let Err(error) = check(golden.name, &golden.bytes) {
                panic!("{}: {error}", golden.name);
            }
        }
    }

    fn check(name: &str, bytes: &[u8]) -> Result<(), String> {
        match name {
            "ShareSnapshotValue" => round_trip::<ShareSnapshotValue>(0, bytes),
            "ShareUpdateValue" => round_trip::<ShareUpdateValue>(0, bytes),
            key => {
                let record = ShareRecord::decode(bytes, None).map_err(|error| error.to_string())?;
                assert!(format!("{record:?}").starts_with(key.trim_end_matches("Key")), "{key} is {record:?}");
                assert_eq!(record.encode(), (bytes.to_vec(), None));
                Ok(())
            }
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert_eq!(ShareRecord::decode(&[0, 2], None), Err(RecordError::UnknownType(2)));
        assert_eq!(ShareRecord::decode(&[0, 1, 0, 0], None), Err(RecordError::Truncated));
    }

    proptest! {
        #[test]
        fn damaged_records_never_panic(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            for mut golden in goldens(GOLDEN) {
                let at = at.index(golden.bytes.len());
                golden.bytes[at] = to;
                let _ = ShareRecord::decode(&golden.bytes, None);
                let _ = round_trip::<ShareSnapshotValue>(0, &golden.bytes);
                let _ = round_trip::<ShareUpdateValue>(0, &golden.bytes);
            }
        }
    }
}
