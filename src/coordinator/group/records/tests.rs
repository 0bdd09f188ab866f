//! Holds every kind of record to the bytes of Kafka's own classes, both ways.

use proptest::prelude::*;

use super::*;
use crate::coordinator::record_codec::testing::{Golden, goldens, round_trip};
use crate::ids::TopicId;

const GOLDEN: &str = include_str!("testdata/kafka-4.3.1.txt");
/// The versions that Kafka writes, where it is not 0.
const WRITTEN: [(&str, i16); 2] = [("OffsetCommit", 4), ("GroupMetadata", 3)];

#[test]
fn keys_are_read_and_written_as_kafka_does() {
    let mut count = 0;
    for (name, key) in keys() {
        let record = GroupRecord::decode(&key, None).unwrap();
        assert!(format!("{record:?}").starts_with(&format!("{name}(")), "{name} is read as {record:?}");
        assert_eq!(record.encode(), (key, None), "{record:?}");
        count += 1;
    }
    assert_eq!(count, 15 * 6, "six keys of each type");
}

#[test]
fn values_are_read_and_written_as_kafka_does_in_every_version() {
    let mut count = 0;
    for golden in goldens(GOLDEN).filter(|golden| golden.name.ends_with("Value")) {
        if let Err(error) = check_value(golden.name, golden.version, &golden.bytes) {
            panic!("{} version {}: {error}", golden.name, golden.version);
        }
        count += 1;
    }
    assert_eq!(count, (16 + 4 + 4) * 6, "six values of each version of each type");
}

#[test]
fn records_are_written_in_the_versions_that_kafka_writes() {
    for (name, key) in keys() {
        let written = WRITTEN.iter().find(|(known, _)| *known == name).map_or(0, |(_, version)| *version);
        let values = goldens(GOLDEN).filter(|golden| golden.name.strip_suffix("Value") == Some(name));
        for golden in values.filter(|golden| golden.version == written) {
            let record = GroupRecord::decode(&key, Some(&golden.bytes)).unwrap();
            assert_eq!(record.encode(), (key.clone(), Some(golden.bytes)), "{record:?}");
        }
    }
}

#[test]
fn an_offset_that_expires_by_itself_is_written_in_the_version_that_says_so() {
    let golden = goldens(GOLDEN).find(|golden| golden.name == "OffsetCommitValue" && golden.version == 1).unwrap();
    let (_, key) = keys().find(|(name, _)| *name == "OffsetCommit").unwrap();
    let record = GroupRecord::decode(&key, Some(&golden.bytes)).unwrap();
    assert_eq!(record.encode().1.unwrap(), golden.bytes, "{record:?}");
}

#[test]
fn offsets_of_old_brokers_are_read() {
    let legacy = |name| goldens(GOLDEN).find(move |golden| golden.name == name).unwrap().bytes;
    let mut key = legacy("LegacyOffsetCommitKey");
    let record = GroupRecord::decode(&key, Some(&legacy("LegacyOffsetCommitValue"))).unwrap();
    let GroupRecord::OffsetCommit(_, Some(value)) = &record else { panic!("{record:?}") };
    assert_eq!((value.leader_epoch, value.expire_timestamp_ms, value.topic_id), (-1, None, TopicId::default()));
    key[1] = 1;
    assert_eq!(record.encode().0, key, "the type is the only difference");
}

#[test]
fn fields_of_later_versions_are_skipped() {
    // Epoch 7, then tag 0 (the hash) and tag 9 with two bytes.
    let value = [0, 0, 0, 0, 0, 7, 2, 0, 8, 0, 0, 0, 0, 0, 0, 0, 3, 9, 2, 0xff, 0xff];
    let record = GroupRecord::decode(&[0, 3, 0, 1, b'g'], Some(&value)).unwrap();
    let expected = ConsumerGroupMetadataValue { epoch: 7, metadata_hash: 3 };
    assert_eq!(record, GroupRecord::ConsumerGroupMetadata(GroupKey::new("g"), Some(expected)));
    assert_eq!(record.group_id(), "g");
}

#[track_caller]
fn refused(key: &[u8], value: Option<&[u8]>, error: RecordError) {
    assert_eq!(GroupRecord::decode(key, value), Err(error));
}

#[test]
fn what_is_no_record_is_refused() {
    refused(&[], None, RecordError::Truncated);
    refused(&[0, 17, 0, 0], None, RecordError::UnknownType(17));
    refused(&[0xff, 0xff], None, RecordError::UnknownType(-1));
    refused(&[0, 2, 0, 5, b'g'], None, RecordError::Truncated);
    refused(&[0, 2, 0xff, 0xff], None, RecordError::BadLength(-1));
    refused(&[0, 2, 0xff, 0xfe], None, RecordError::BadLength(-2));
    refused(&[0, 2, 0, 1, 0xff], None, RecordError::NotUtf8);
    refused(&[0, 2, 0, 0], Some(&[0, 5]), RecordError::UnknownVersion { kind: 2, version: 5 });
    refused(&[0, 2, 0, 0], Some(&[0xff, 0xff]), RecordError::UnknownVersion { kind: 2, version: -1 });
    refused(&[0, 3, 0, 0], Some(&[0, 1]), RecordError::UnknownVersion { kind: 3, version: 1 });
    // A list that claims four thousand million elements.
    refused(&[0, 7, 0, 0, 0, 0], Some(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]), RecordError::Truncated);
}

#[test]
fn a_text_that_no_length_can_tell_is_cut() {
    let long = "ü".repeat(20_000);
    let (key, _) = GroupRecord::GroupMetadata(GroupKey::new(long), None).encode();
    let record = GroupRecord::decode(&key, None).unwrap();
    assert_eq!(record.group_id(), "ü".repeat(16_383));
}

proptest! {
    #[test]
    fn damaged_records_never_panic(at in any::<prop::sample::Index>(), to in any::<[u8; 4]>(), count in 1usize..=4) {
        for mut golden in goldens(GOLDEN).filter(|golden| golden.bytes.len() > 4) {
            let at = at.index(golden.bytes.len() - count);
            golden.bytes[at..at + count].copy_from_slice(&to[..count]);
            let _ = GroupRecord::decode(&golden.bytes, None);
            if golden.name.ends_with("Value") {
                let _ = check_value(golden.name, golden.version, &golden.bytes);
            }
        }
    }
}

/// Every key but those of old brokers, with the name of its type.
fn keys() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    goldens(GOLDEN)
        .filter(|golden| !golden.name.starts_with("Legacy"))
        .filter_map(|Golden { name, bytes, .. }| Some((name.strip_suffix("Key")?, bytes)))
}

fn check_value(name: &str, version: i16, bytes: &[u8]) -> Result<(), String> {
    match name {
        "OffsetCommitValue" | "LegacyOffsetCommitValue" => round_trip::<OffsetCommitValue>(version, bytes),
        "GroupMetadataValue" => round_trip::<GroupMetadataValue>(version, bytes),
        "ConsumerGroupMetadataValue" => round_trip::<ConsumerGroupMetadataValue>(version, bytes),
        "ConsumerGroupPartitionMetadataValue" => round_trip::<ConsumerGroupPartitionMetadataValue>(version, bytes),
        "ConsumerGroupMemberMetadataValue" => round_trip::<ConsumerGroupMemberMetadataValue>(version, bytes),
        "ConsumerGroupTargetAssignmentMetadataValue" => {
            round_trip::<ConsumerGroupTargetAssignmentMetadataValue>(version, bytes)
        }
        "ConsumerGroupTargetAssignmentMemberValue" => {
            round_trip::<ConsumerGroupTargetAssignmentMemberValue>(version, bytes)
        }
        "ConsumerGroupCurrentMemberAssignmentValue" => {
            round_trip::<ConsumerGroupCurrentMemberAssignmentValue>(version, bytes)
        }
        "ConsumerGroupRegularExpressionValue" => round_trip::<ConsumerGroupRegularExpressionValue>(version, bytes),
        "ShareGroupMemberMetadataValue" => round_trip::<ShareGroupMemberMetadataValue>(version, bytes),
        "ShareGroupMetadataValue" => round_trip::<ShareGroupMetadataValue>(version, bytes),
        "ShareGroupTargetAssignmentMetadataValue" => {
            round_trip::<ShareGroupTargetAssignmentMetadataValue>(version, bytes)
        }
        "ShareGroupTargetAssignmentMemberValue" => {
            round_trip::<ShareGroupTargetAssignmentMemberValue>(version, bytes)
        }
        "ShareGroupCurrentMemberAssignmentValue" => {
            round_trip::<ShareGroupCurrentMemberAssignmentValue>(version, bytes)
        }
        "ShareGroupStatePartitionMetadataValue" => {
            round_trip::<ShareGroupStatePartitionMetadataValue>(version, bytes)
        }
        _ => Err("no such value here".to_owned()),
    }
}
