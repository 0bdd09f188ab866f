//! The rules of committed offsets, against groups that say what the test wants.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::coordinator::Now;
use crate::coordinator::group::records::GroupRecord;
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::protocol::messages::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetFetchRequestGroup, OffsetFetchRequestTopic,
};
use crate::protocol::wire::messages::offset_commit_request::OffsetCommitRequestPartition;
use crate::protocol::wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use crate::protocol::wire::messages::{GroupId, OffsetDeleteRequest, TopicName as WireTopicName};
use crate::protocol::wire::protocol::StrBytes;

const NOW_MS: i64 = 1_800_000_000_000;
const METADATA_MAX: usize = 8;
const HOUR_MS: i64 = 3_600_000;
const RETENTION: Duration = Duration::from_secs(3600);
const LOGS: TopicId = TopicId(Uuid::from_u128(7));

/// A group that says what it is told to.
struct Told {
    commit: Result<(), ErrorCode>,
    fetch: Result<(), ErrorCode>,
    delete: Result<(), ErrorCode>,
    reads: &'static str,
    expiry: Option<OffsetExpiry>,
    asked_for: RefCell<Vec<(TopicId, PartitionIndex)>>,
    asked_of_topics: RefCell<Vec<String>>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            commit: Ok(()),
            fetch: Ok(()),
            delete: Ok(()),
            reads: "",
            expiry: Some(OffsetExpiry::SinceCommit),
            asked_for: RefCell::default(),
            asked_of_topics: RefCell::default(),
        }
    }
}

impl CommittingGroup for Told {
    fn check_commit(&self, commit: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        self.asked_for.borrow_mut().extend_from_slice(commit.partitions);
        self.commit
    }
    fn check_fetch(&self, _: Option<&str>, _: i32) -> Result<(), ErrorCode> {
        self.fetch
    }
    fn check_delete(&self) -> Result<(), ErrorCode> {
        self.delete
    }
    fn is_subscribed_to(&self, topic: &str) -> bool {
        self.asked_of_topics.borrow_mut().push(topic.to_owned());
        topic == self.reads
    }
    fn offset_expiry(&self) -> Option<OffsetExpiry> {
        self.expiry
    }
    fn tombstones_if_unused(&self, _: &str) -> Vec<GroupRecord> {
        Vec::new()
    }
}

fn now(wall_ms: i64) -> Now {
    Now { monotonic: Duration::ZERO, wall_ms }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A commit of `logs`, by somebody outside of the group.
fn commit_of(partitions: &[(i32, i64, &str)]) -> OffsetCommitRequest {
    let mut request = OffsetCommitRequest::default();
    request.base.group_id = GroupId(text("g"));
    request.base.generation_id_or_member_epoch = -1;
    request.base.retention_time_ms = -1;
    let mut topic = OffsetCommitRequestTopic { topic_id: LOGS.0, ..Default::default() };
    topic.base.name = WireTopicName(text("logs"));
    for &(index, offset, metadata) in partitions {
        let mut partition = OffsetCommitRequestPartition::default();
        partition.partition_index = index;
        partition.committed_offset = offset;
        partition.committed_leader_epoch = 3;
        partition.committed_metadata = Some(text(metadata));
        topic.base.partitions.push(partition);
    }
    request.topics.push(topic);
    request
}

/// Applies records one after the other, as the log does.
#[derive(Default)]
struct Shard {
    offsets: Offsets,
    end: i64,
}

impl Shard {
    fn apply(&mut self, records: Vec<GroupRecord>) {
        self.apply_of(records, None);
    }

    fn apply_of(&mut self, records: Vec<GroupRecord>, producer: Option<i64>) {
        for record in records {
            let GroupRecord::OffsetCommit(key, value) = record else { panic!("{record:?}") };
            self.offsets.apply(key, value, Offset(self.end), producer.map(ProducerId));
            self.end += 1;
        }
    }

    fn commit(&mut self, partitions: &[(i32, i64, &str)]) {
        let records = self.records_of(partitions);
        self.apply(records);
    }

    fn commit_in_transaction(&mut self, producer: i64, partitions: &[(i32, i64, &str)]) {
        let records = self.records_of(partitions);
        self.apply_of(records, Some(producer));
    }

    fn records_of(&self, partitions: &[(i32, i64, &str)]) -> Vec<GroupRecord> {
        self.offsets.commit(None, &commit_of(partitions), true, METADATA_MAX, now(NOW_MS)).unwrap().0
    }

    fn committed(&self, partition: i32) -> Option<i64> {
        self.offsets.get("g", "logs", partition).map(|offset| offset.offset)
    }

    /// Offset and error of partitions 0 to 2.
    fn fetched(&self, group: Option<&dyn CommittingGroup>, require_stable: bool) -> Vec<(i64, i16)> {
        let answer = self.offsets.fetch(group, &fetch_of(LOGS), require_stable).unwrap();
        assert_eq!(answer.topics.len(), 1);
        answer.topics[0].partitions.iter().map(|answer| (answer.committed_offset, answer.error_code)).collect()
    }
}

fn fetch_of(topic_id: TopicId) -> OffsetFetchRequestGroup {
    let mut topic = OffsetFetchRequestTopic { topic_id: topic_id.0, ..Default::default() };
    topic.base.name = WireTopicName(text("logs"));
    topic.base.partition_indexes = vec![0, 1, 2];
    let mut request = OffsetFetchRequestGroup { topics: Some(vec![topic]), ..Default::default() };
    request.base.group_id = GroupId(text("g"));
    request
}

fn delete_of(partitions: &[i32]) -> OffsetDeleteRequest {
    let mut topic = OffsetDeleteRequestTopic::default();
    topic.name = WireTopicName(text("logs"));
    topic.partitions = partitions
        .iter()
        .map(|&index| {
            let mut partition = OffsetDeleteRequestPartition::default();
            partition.partition_index = index;
            partition
        })
        .collect();
    let mut request = OffsetDeleteRequest::default();
    request.group_id = GroupId(text("g"));
    request.topics = vec![topic];
    request
}

#[test]
fn a_commit_is_written_with_all_that_the_client_gave() {
    let shard = Shard::default();
    let records = shard.records_of(&[(1, 42, "here")]);
    let [GroupRecord::OffsetCommit(key, Some(value))] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&*key.group_id, &*key.topic, key.partition), ("g", "logs", 1));
    assert_eq!((value.offset, value.leader_epoch, &*value.metadata), (42, 3, "here"));
    assert_eq!((value.commit_timestamp_ms, value.expire_timestamp_ms, value.topic_id), (NOW_MS, None, LOGS));
}

#[test]
fn a_retention_of_the_clients_own_is_kept_with_the_offset() {
    let mut request = commit_of(&[(0, 1, "")]);
    request.base.retention_time_ms = 5;
    let (records, _) = Offsets::default().commit(None, &request, false, METADATA_MAX, now(NOW_MS)).unwrap();
    let [GroupRecord::OffsetCommit(_, Some(value))] = &records[..] else { panic!("{records:?}") };
    assert_eq!(value.expire_timestamp_ms, Some(NOW_MS + 5));
}

#[test]
fn metadata_that_is_too_large_is_an_error_of_its_partition() {
    // As Kafka counts: an emoji is two of eight.
    let request = commit_of(&[(0, 1, "123456789"), (1, 2, "123456🦦"), (2, 3, "1234567🦦")]);
    let group = Told::default();
    let (records, response) =
        Offsets::default().commit(Some(&group), &request, true, METADATA_MAX, now(NOW_MS)).unwrap();
    let codes: Vec<_> = response.topics[0].partitions.iter().map(|answer| answer.error_code).collect();
    let too_large = ErrorCode::OffsetMetadataTooLarge.code();
    assert_eq!((records.len(), codes), (1, vec![too_large, 0, too_large]));
    assert_eq!(*group.asked_for.borrow(), [(LOGS, 1)], "the group is asked for what is committed");
}

#[track_caller]
fn refused(offsets: &Offsets, group: Option<&dyn CommittingGroup>, generation: i32, knows: bool, error: ErrorCode) {
    let mut request = commit_of(&[(0, 1, "")]);
    request.base.generation_id_or_member_epoch = generation;
    let refused = offsets.commit(group, &request, knows, METADATA_MAX, now(NOW_MS)).unwrap_err();
    assert_eq!(refused, error);
}

#[test]
fn who_may_not_commit_is_told_why() {
    let mut shard = Shard::default();
    let told = Told { commit: Err(ErrorCode::StaleMemberEpoch), ..Told::default() };
    refused(&shard.offsets, Some(&told), 5, true, ErrorCode::StaleMemberEpoch);
    refused(&shard.offsets, None, 5, true, ErrorCode::GroupIdNotFound);
    refused(&shard.offsets, None, 5, false, ErrorCode::IllegalGeneration);
    shard.commit(&[(0, 1, "")]);
    refused(&shard.offsets, None, 5, true, ErrorCode::UnknownMemberId);
}

#[test]
fn what_is_committed_is_fetched() {
    let mut shard = Shard::default();
    shard.commit(&[(0, 10, "a"), (2, 30, "c")]);
    shard.commit(&[(0, 11, "b")]);
    assert_eq!(shard.fetched(None, true), [(11, 0), (-1, 0), (30, 0)]);
    let all = shard.offsets.fetch(None, &OffsetFetchRequestGroup { topics: None, ..fetch_of(LOGS) }, false).unwrap();
    let partitions: Vec<_> = all.topics[0].partitions.iter().collect();
    assert_eq!((all.topics.len(), &*all.topics[0].name.0, partitions.len()), (1, "logs", 2));
    assert_eq!((partitions[0].committed_leader_epoch, partitions[0].metadata.as_deref()), (3, Some("b")));
}

#[test]
fn a_group_that_is_not_there_has_committed_nothing_and_a_refusal_is_the_groups() {
    let mut shard = Shard::default();
    assert_eq!(shard.fetched(None, false), [(-1, 0); 3]);
    shard.commit(&[(0, 10, "")]);
    let gone = Told { fetch: Err(ErrorCode::GroupIdNotFound), ..Told::default() };
    assert_eq!(shard.fetched(Some(&gone), false), [(-1, 0); 3]);
    let stale = Told { fetch: Err(ErrorCode::StaleMemberEpoch), ..Told::default() };
    assert_eq!(shard.offsets.fetch(Some(&stale), &fetch_of(LOGS), false), Err(ErrorCode::StaleMemberEpoch));
}

#[test]
fn offsets_of_a_topic_of_another_id_are_none() {
    let mut shard = Shard::default();
    shard.commit(&[(0, 10, "")]);
    let fetched = |id: u128| {
        let answer = shard.offsets.fetch(None, &fetch_of(TopicId(Uuid::from_u128(id))), false).unwrap();
        answer.topics[0].partitions[0].committed_offset
    };
    assert_eq!([fetched(7), fetched(8), fetched(0)], [10, -1, 10]);
}

#[test]
fn offsets_of_a_transaction_count_once_it_is_committed() {
    let mut shard = Shard::default();
    shard.commit(&[(0, 1, ""), (1, 1, "")]);
    shard.commit_in_transaction(9, &[(0, 5, "")]);
    shard.commit_in_transaction(8, &[(1, 5, "")]);
    let unstable = ErrorCode::UnstableOffsetCommit.code();
    assert_eq!(shard.fetched(None, true), [(-1, unstable), (-1, unstable), (-1, 0)]);
    assert_eq!(shard.fetched(None, false), [(1, 0), (1, 0), (-1, 0)]);
    shard.offsets.commit_transaction(ProducerId(9));
    shard.offsets.abort_transaction(ProducerId(8));
    shard.offsets.commit_transaction(ProducerId(7));
    assert_eq!(shard.fetched(None, true), [(5, 0), (1, 0), (-1, 0)]);
    assert!(!shard.offsets.has_open_transactions("g"));
}

#[test]
fn the_later_record_wins_over_the_later_marker() {
    let mut shard = Shard::default();
    shard.commit_in_transaction(9, &[(0, 5, "")]);
    shard.commit(&[(0, 6, "")]);
    shard.offsets.commit_transaction(ProducerId(9));
    assert_eq!(shard.committed(0), Some(6));
}

#[test]
fn a_tombstone_takes_what_transactions_hold_as_well() {
    let mut shard = Shard::default();
    shard.commit_in_transaction(9, &[(0, 5, ""), (1, 5, "")]);
    let (records, response) = shard.offsets.delete(Some(&Told::default()), &delete_of(&[0, 2])).unwrap();
    assert_eq!((records.len(), response.topics[0].partitions.len()), (1, 2));
    shard.apply(records);
    shard.offsets.commit_transaction(ProducerId(9));
    assert_eq!((shard.committed(0), shard.committed(1)), (None, Some(5)));
    let all = shard.offsets.tombstones_of_group("g");
    shard.apply(all);
    assert!(shard.offsets.is_empty() && !shard.offsets.has_group("g"));
}

#[test]
fn what_is_read_is_not_deleted() {
    let mut shard = Shard::default();
    shard.commit(&[(0, 1, "")]);
    let reads = Told { reads: "logs", ..Told::default() };
    let (records, response) = shard.offsets.delete(Some(&reads), &delete_of(&[0])).unwrap();
    assert_eq!((records, response.topics[0].partitions[0].error_code), (vec![], 86));
    let busy = Told { delete: Err(ErrorCode::NonEmptyGroup), ..Told::default() };
    assert_eq!(shard.offsets.delete(Some(&busy), &delete_of(&[0])).unwrap_err(), ErrorCode::NonEmptyGroup);
    let nobody = Offsets::default().delete(None, &delete_of(&[0])).unwrap_err();
    assert_eq!(nobody, ErrorCode::GroupIdNotFound);
    assert_eq!(shard.offsets.delete(None, &delete_of(&[0])).unwrap().0.len(), 1);
}

#[test]
fn of_topics_without_partitions_nothing_is_asked() {
    let group = Told { reads: "logs", ..Told::default() };
    let (records, response) = Offsets::default().delete(Some(&group), &delete_of(&[])).unwrap();
    assert_eq!((records, response.topics[0].partitions.len()), (vec![], 0));
    assert_eq!(group.asked_of_topics.take(), [""; 0]);
}

#[test]
fn offsets_go_with_their_topic_but_not_with_an_older_one_of_its_name() {
    let mut shard = Shard::default();
    shard.commit(&[(0, 1, "")]);
    shard.commit_in_transaction(9, &[(1, 1, "")]);
    let gone = |id| [DeletedTopic { name: "logs".to_owned(), id }, DeletedTopic { name: "x".to_owned(), id }];
    assert!(shard.offsets.tombstones_of_topics(&gone(TopicId(Uuid::from_u128(8)))).is_empty());
    let records = shard.offsets.tombstones_of_topics(&gone(LOGS));
    assert_eq!(records.len(), 2);
    shard.apply(records);
    shard.offsets.commit_transaction(ProducerId(9));
    assert!(shard.offsets.is_empty());
}

#[track_caller]
fn expires(shard: &Shard, group: &Told, at_ms: i64, tombstones: usize, all: bool) {
    let expired = shard.offsets.expired(Some(group), "g", RETENTION, now(at_ms));
    assert_eq!((expired.tombstones.len(), expired.all), (tombstones, all), "{expired:?}");
}

#[test]
fn offsets_expire_when_nobody_has_read_for_long_enough() {
    let mut shard = Shard::default();
    shard.commit(&[(0, 1, ""), (1, 1, "")]);
    let group = Told::default();
    expires(&shard, &group, NOW_MS + HOUR_MS - 1, 0, false);
    expires(&shard, &group, NOW_MS + HOUR_MS, 2, true);
    let empty = Told { expiry: Some(OffsetExpiry::Since(NOW_MS + 5)), ..Told::default() };
    expires(&shard, &empty, NOW_MS + HOUR_MS + 4, 0, false);
    expires(&shard, &empty, NOW_MS + HOUR_MS + 5, 2, true);
    let undecided = Told { expiry: None, ..Told::default() };
    expires(&shard, &undecided, i64::MAX, 0, false);
    assert_eq!(undecided.asked_of_topics.take(), [""; 0], "what its members read does not matter");
    expires(&shard, &Told { reads: "logs", ..Told::default() }, i64::MAX, 0, false);
    shard.commit_in_transaction(9, &[(0, 5, "")]);
    expires(&shard, &group, NOW_MS + HOUR_MS, 1, false);
    let nobody = Shard::default().offsets.expired(None, "g", RETENTION, now(NOW_MS));
    assert_eq!(nobody, ExpiredOffsets { tombstones: Vec::new(), all: true });
}

#[test]
fn an_expiry_of_the_offsets_own_comes_first() {
    let mut request = commit_of(&[(0, 1, "")]);
    request.base.retention_time_ms = 5;
    let mut shard = Shard::default();
    let records = shard.offsets.commit(None, &request, false, METADATA_MAX, now(NOW_MS)).unwrap().0;
    shard.apply(records);
    expires(&shard, &Told::default(), NOW_MS + 4, 0, false);
    expires(&shard, &Told::default(), NOW_MS + 5, 1, true);
    expires(&shard, &Told { expiry: None, ..Told::default() }, NOW_MS + 5, 0, false);
}

/// What may happen to one of three partitions.
#[derive(Clone, Debug)]
enum Step {
    Commit(i32),
    CommitInTransaction(i64, i32),
    Tombstone(i32),
    End(i64, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..3).prop_map(Step::Commit),
        (0..3_i64, 0..3).prop_map(|(producer, partition)| Step::CommitInTransaction(producer, partition)),
        (0..3).prop_map(Step::Tombstone),
        (0..3_i64, any::<bool>()).prop_map(|(producer, commits)| Step::End(producer, commits)),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// The state is that of a list of everything that happened, read naively.
    #[test]
    fn the_state_follows_from_the_log(steps in steps()) {
        let mut shard = Shard::default();
        let mut committed = BTreeMap::new();
        let mut open: BTreeMap<i64, BTreeMap<i32, i64>> = BTreeMap::new();
        for (at, step) in steps.into_iter().enumerate() {
            let at = at as i64;
            shard.end = at;
            match step {
                Step::Commit(partition) => {
                    shard.commit(&[(partition, at, "")]);
                    committed.insert(partition, at);
                }
                Step::CommitInTransaction(producer, partition) => {
                    shard.commit_in_transaction(producer, &[(partition, at, "")]);
                    open.entry(producer).or_default().insert(partition, at);
                }
                Step::Tombstone(partition) => {
                    shard.apply(vec![delete::tombstone("g", "logs", partition)]);
                    committed.remove(&partition);
                    for offsets in open.values_mut() {
                        offsets.remove(&partition);
                    }
                }
                Step::End(producer, true) => {
                    shard.offsets.commit_transaction(ProducerId(producer));
                    for (partition, offset) in open.remove(&producer).unwrap_or_default() {
                        let newest = committed.get(&partition).map_or(offset, |&known| offset.max(known));
                        committed.insert(partition, newest);
                    }
                }
                Step::End(producer, false) => {
                    shard.offsets.abort_transaction(ProducerId(producer));
                    open.remove(&producer);
                }
            }
            let is_open = |partition: i32| open.values().any(|offsets| offsets.contains_key(&partition));
            for partition in 0..3 {
                prop_assert_eq!(shard.committed(partition), committed.get(&partition).copied());
                prop_assert_eq!(shard.offsets.is_unstable("g", "logs", partition), is_open(partition));
            }
            prop_assert_eq!(shard.offsets.len(), committed.len());
            prop_assert_eq!(shard.offsets.has_open_transactions("g"), (0..3).any(is_open));
            if committed.is_empty() && !(0..3).any(is_open) {
                prop_assert!(shard.offsets.topics.is_empty(), "a topic that nobody has offsets of is forgotten");
            }
        }
    }
}

/// How long it takes to decode and take in a million commits of 1,000 groups, 10 topics and 100 partitions.
#[test]
#[ignore = "measures, says what it measured, and asserts nothing about it"]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn a_million_commits_are_taken_in() {
    let mut records = Vec::new();
    for at in 0..1_000_000 {
        let key = OffsetCommitKey {
            group_id: format!("a-group-of-consumers-{}", at % 1000),
            topic: format!("a-topic-of-records-{}", at / 1000 % 10),
            partition: at / 10_000,
        };
        let value = OffsetCommitValue {
            offset: 1 << 40,
            leader_epoch: 5,
            metadata: String::new(),
            commit_timestamp_ms: NOW_MS,
            expire_timestamp_ms: None,
            topic_id: LOGS,
        };
        records.push(GroupRecord::OffsetCommit(key, Some(value)).encode());
    }
    let began = Instant::now();
    let mut offsets = Offsets::default();
    for (at, (key, value)) in records.iter().enumerate() {
        let GroupRecord::OffsetCommit(key, value) = GroupRecord::decode(key, value.as_deref()).unwrap() else {
            panic!("another record")
        };
        offsets.apply(key, value, Offset(at as i64), None);
    }
    println!("a million commits: {:?}", began.elapsed());
    assert_eq!(offsets.len(), 1_000_000);
}
