//! A shard over a real log, with a machine that adds numbers up.

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::decision::{Decision, EncodedRecord, Machine, Now, RecordOrigin, ReplayError, ReplyTo, Timer};
use super::error::CoordinatorError;
use super::journal::Journal;
use super::pending::Pending;
use super::shard::Shard;
use super::shard_map::ShardMap;
use crate::config::LogConfig;
use crate::error::ErrorCode;
use crate::ids::{BrokerId, LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::log::testing;
use crate::metadata::image::PartitionImage;
use crate::metadata::{LeaderRecoveryState, Revision};
use crate::protocol::batch::Compression;
use crate::replication::{Acks, Partition};

const LOCAL: BrokerId = BrokerId(1);

/// The sum of its records. Hard: the sum. Soft: who waits for it to reach ten.
#[derive(Debug, Default)]
struct Adder {
    sum: i64,
    last_offset: Option<Offset>,
    waits: Vec<ReplyTo>,
}

impl Adder {
    fn add(&self, numbers: &[i64]) -> Decision<Self> {
        let sum = self.sum + numbers.iter().sum::<i64>();
        let mut decision = Decision { records: numbers.to_vec(), ..Decision::default() };
        if sum >= 10 {
            decision.replies = self.waits.iter().map(|&wait| (wait, sum)).collect();
            decision.soft.push(Vec::new());
        }
        decision
    }

    fn wait_for_ten(&self, reply_to: ReplyTo) -> Decision<Self> {
        let mut waits = self.waits.clone();
        waits.push(reply_to);
        Decision { soft: vec![waits], ..Decision::default() }
    }
}

impl Machine for Adder {
    type Record = i64;
    type SoftChange = Vec<ReplyTo>;
    type Reply = i64;
    type TimerKey = &'static str;

    fn encode(record: &i64) -> EncodedRecord {
        EncodedRecord { key: vec![0, 1], value: Some(record.to_string().into_bytes()) }
    }

    fn replay(&mut self, key: &[u8], value: Option<&[u8]>, origin: RecordOrigin) -> Result<(), ReplayError> {
        if key != [0, 1] {
            return Err(ReplayError::UnknownKind(0));
        }
        let text = String::from_utf8_lossy(value.unwrap_or_default());
        let number = text.parse().map_err(|_| ReplayError::Malformed(format!("'{text}' is no number")))?;
        self.apply(number, origin.offset);
        Ok(())
    }

    fn apply(&mut self, record: i64, offset: Offset) {
        assert!(self.last_offset.is_none_or(|last| offset == last.next()), "records are applied in order, each once");
        self.last_offset = Some(offset);
        self.sum += record;
    }

    fn apply_soft(&mut self, waits: Vec<ReplyTo>) {
        self.waits = waits;
    }

    fn on_loaded(&mut self, now: Now) -> Decision<Self> {
        let timers = vec![Timer::at("hundred", now.monotonic + Duration::from_secs(5))];
        Decision { timers, ..Decision::default() }
    }

    fn on_timer(&self, _now: Now, key: &'static str) -> Decision<Self> {
        assert_eq!(key, "hundred");
        self.add(&[100])
    }
}

fn now(seconds: u64) -> Now {
    Now { monotonic: Duration::from_secs(seconds), wall_ms: 1_700_000_000_000 }
}

/// A partition that this broker leads, over a log in `root`.
fn partition(root: &Path, max_message_bytes: i32) -> Arc<Partition> {
    let config = LogConfig { max_message_bytes: max_message_bytes as _, ..LogConfig::default() };
    let log = testing::new_log(root, config);
    let partition = Partition::new(TopicPartition::new("topic", 0), TopicId(uuid::Uuid::nil()), LOCAL, &log);
    lead(&partition, Some(LOCAL), 1);
    partition
}

fn lead(partition: &Partition, leader: Option<BrokerId>, epoch: i32) {
    let image = PartitionImage {
        replicas: vec![LOCAL],
        directories: Vec::new(),
        isr: vec![LOCAL],
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader,
        leader_epoch: LeaderEpoch(epoch),
        leader_recovery_state: LeaderRecoveryState::Recovered,
        adding: Vec::new(),
        removing: Vec::new(),
        partition_epoch: Revision(i64::from(epoch)),
    };
    partition.apply_image(&image, 1);
}

fn shard(partition: &Arc<Partition>) -> Shard<Adder> {
    let journal =
        Journal { partition: Arc::clone(partition), compression: Compression::None, load_buffer_bytes: 100 };
    Shard::loading(journal, LeaderEpoch(1), Duration::from_secs(30))
}

fn loaded(partition: &Arc<Partition>) -> Shard<Adder> {
    let shard = shard(partition);
    assert_eq!(shard.load(Adder::default(), || now(0)).unwrap(), Some(Duration::from_secs(5)));
    shard
}

fn add(shard: &Shard<Adder>, numbers: &[i64]) -> Result<Pending<i64>, CoordinatorError> {
    let decided = shard.decide(now(1), |adder, _| (adder.add(numbers), adder.sum + numbers.iter().sum::<i64>()));
    decided.map(|(pending, _)| pending)
}

fn sum(shard: &Shard<Adder>) -> i64 {
    let decided = shard.decide(now(1), |adder, _| (Decision::default(), adder.sum));
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(decided.unwrap().0.done())
        .unwrap()
}

#[tokio::test]
async fn a_reply_is_committed_and_survives_a_reload() {
    let home = tempfile::tempdir().unwrap();
    let partition = partition(home.path(), 1 << 20);
    let shard = loaded(&partition);
    assert_eq!(add(&shard, &[1, 2, 3]).unwrap().done().await, Ok(6));
    assert_eq!(partition.log().high_watermark(), Offset(3), "the reply has waited for it");
    assert_eq!(add(&shard, &[4]).unwrap().done().await, Ok(10));

    let again = loaded(&partition);
    let decided = again.decide(now(1), |adder, _| (Decision::default(), (adder.sum, adder.last_offset)));
    assert_eq!(decided.unwrap().0.done().await, Ok((10, Some(Offset(3)))));
}

#[tokio::test]
async fn a_later_decision_answers_who_waits() {
    let home = tempfile::tempdir().unwrap();
    let partition = partition(home.path(), 1 << 20);
    let shard = loaded(&partition);
    let (first, _) = shard.ask(now(1), |adder, _, reply_to| adder.wait_for_ten(reply_to)).unwrap();
    let (second, _) = shard.ask(now(1), |adder, _, reply_to| adder.wait_for_ten(reply_to)).unwrap();
    drop(second);
    add(&shard, &[4]).unwrap().done().await.unwrap();
    add(&shard, &[7]).unwrap();
    assert_eq!(first.done().await, Ok(11));
    let (third, _) = shard.ask(now(1), |adder, _, reply_to| adder.wait_for_ten(reply_to)).unwrap();
    shard.give_up();
    assert_eq!(third.done().await, Err(CoordinatorError::NotCoordinator));
    assert_eq!(add(&shard, &[1]).unwrap_err(), CoordinatorError::NotCoordinator);
}

#[test]
fn nothing_changes_when_the_append_fails() {
    let home = tempfile::tempdir().unwrap();
    let partition = partition(home.path(), 1 << 20);
    let shard = loaded(&partition);
    lead(&partition, None, 2);
    let refused = add(&shard, &[20]).unwrap_err();
    assert_eq!(refused, CoordinatorError::NotWritten(ErrorCode::NotLeaderOrFollower));
    assert_eq!(refused.code(), ErrorCode::NotCoordinator);
    lead(&partition, Some(LOCAL), 3);
    assert_eq!(sum(&shard), 0);
}

#[test]
fn a_timer_fires_once_and_again_when_it_could_not_be_written() {
    let home = tempfile::tempdir().unwrap();
    let partition = partition(home.path(), 1 << 20);
    let shard = loaded(&partition);
    assert_eq!(shard.fire_timers(now(4)), Ok(Some(Duration::from_secs(5))));
    lead(&partition, None, 2);
    assert_eq!(shard.fire_timers(now(5)), Ok(Some(Duration::from_millis(5500))));
    lead(&partition, Some(LOCAL), 3);
    assert_eq!(sum(&shard), 0);
    assert_eq!(shard.fire_timers(now(6)), Ok(None));
    assert_eq!(sum(&shard), 100);
    assert_eq!(shard.fire_timers(now(60)), Ok(None));
    assert_eq!(sum(&shard), 100);
}

#[test]
fn many_records_become_several_batches() {
    let home = tempfile::tempdir().unwrap();
    let partition = partition(home.path(), 1000);
    let shard = loaded(&partition);
    add(&shard, &[1; 500]).unwrap();
    assert_eq!(sum(&shard), 500);
    assert_eq!(sum(&loaded(&partition)), 500, "all of it is read back, though no read takes more than a batch");
}

#[test]
fn requests_before_the_state_is_read_are_to_be_repeated() {
    let home = tempfile::tempdir().unwrap();
    let partition = partition(home.path(), 1 << 20);
    assert_eq!(add(&shard(&partition), &[1]).unwrap_err(), CoordinatorError::Loading);
}

#[test]
fn a_record_that_makes_no_sense_is_named_and_stops_the_shard() {
    let home = tempfile::tempdir().unwrap();
    let partition = partition(home.path(), 1 << 20);
    add(&loaded(&partition), &[1]).unwrap();
    let unknown = testing::batch(1, 10);
    partition.append(&unknown, Acks::All, now(1).wall_ms).unwrap();
    assert_eq!(sum(&loaded(&partition)), 1, "a kind that is not known is left alone");

    let journal = shard(&partition).journal;
    journal.append(&[EncodedRecord { key: vec![0, 1], value: Some(b"seven".to_vec()) }], now(1)).unwrap();
    let broken = shard(&partition);
    let error = broken.load(Adder::default(), || now(0)).unwrap_err();
    assert_eq!(error.to_string(), "the record at offset 2: 'seven' is no number");
    assert_eq!(add(&broken, &[1]).unwrap_err(), CoordinatorError::NotCoordinator);
}

/// Puts another shard into the place `index` of a topic.
fn replace(shards: &ShardMap<Adder>, partition: &Arc<Partition>, index: i32, meanwhile: impl FnOnce()) {
    let new = shards.change(|before| {
        let mut after = before.clone();
        after.insert(index, Arc::new(shard(partition)));
        meanwhile();
        after
    });
    assert_eq!(new.into_keys().collect::<Vec<_>>(), [index], "the other one is not loaded again");
}

#[test]
fn a_shard_that_was_given_up_does_not_come_back() {
    let home = tempfile::tempdir().unwrap();
    let partition = partition(home.path(), 1 << 20);
    let shards = ShardMap::default();
    for index in 0..2 {
        replace(&shards, &partition, index, || ());
    }
    let before = shards.current();
    let both_change = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            both_change.wait();
            replace(&shards, &partition, 0, || ());
        });
        replace(&shards, &partition, 1, || {
            both_change.wait();
            (0..10_000).for_each(|_| std::thread::yield_now());
        });
    });
    let state = |shard: &Arc<Shard<Adder>>| shard.look(|_| ()).unwrap_err();
    assert_eq!(before.values().map(state).collect::<Vec<_>>(), [CoordinatorError::NotCoordinator; 2]);
    assert_eq!(shards.current().values().map(state).collect::<Vec<_>>(), [CoordinatorError::Loading; 2]);
}
