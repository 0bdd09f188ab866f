//! The threads, on a real log manager: what they choose, write down, survive and give up.

use std::time::Duration;

use super::super::LogCleaner;
use super::*;
use crate::config::CleanerConfig;
use crate::ids::{BrokerEpoch, BrokerId, TopicId};
use crate::io::sim::{SimFault, SimOperation};
use crate::log::log_directory::LogDirectories;
use crate::log::log_manager::{LogManager, LogManagerOptions, NewLog};
use crate::time::SystemClock;

const META: &[u8] = b"version=1\ncluster.id=c\nnode.id=1\ndirectory.id=JFuNnNNVGxDQ4X9hqyO0pA\n";

struct Machine {
    disk: Arc<SimDisk>,
    config: Arc<LogConfig>,
    logs: Arc<LogManager>,
    cleaner: Arc<LogCleaner>,
}

fn settings(threads: usize) -> CleanerConfig {
    CleanerConfig {
        threads,
        backoff: Duration::from_millis(1),
        dedupe_buffer_bytes: 4 << 20,
        load_factor: 0.9,
        io_buffer_bytes: 1 << 20,
        io_max_bytes_per_second: f64::MAX,
    }
}

fn load_logs(disk: &Arc<SimDisk>, config: &Arc<LogConfig>) -> Arc<LogManager> {
    let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
    let mut directories = LogDirectories::open(&disk, &["data".into()], BrokerId(1), |_, _| {}).unwrap();
    directories.format("c").unwrap();
    let options = LogManagerOptions::default();
    let config_of = |_: &TopicPartition| Some(Arc::clone(config));
    LogManager::load(directories, options, Arc::new(SystemClock::new()), &config_of).unwrap().0
}

impl Machine {
    fn new(threads: usize) -> Self {
        let disk = SimDisk::new(0);
        disk.create_directory(Path::new("data")).unwrap();
        disk.write_atomically(Path::new("data/meta.properties"), META).unwrap();
        let config = Arc::new(LogConfig { min_cleanable_dirty_ratio: 0.0, ..compacted() });
        let logs = load_logs(&disk, &config);
        let cleaner = start(&logs, threads);
        Self { disk, config, logs, cleaner }
    }

    fn log(&self, number: i32) -> Arc<PartitionLog> {
        let new = NewLog {
            topic_partition: TopicPartition::new("topic", number),
            topic_id: TopicId(uuid::Uuid::from_u128(99)),
            config: Arc::clone(&self.config),
            directory: None,
            is_new: true,
        };
        self.logs.get_or_create(&new).unwrap()
    }

    /// A checkpoint of the cleaner, as it is written down.
    fn checkpoint(&self) -> String {
        let content = self.disk.read(Path::new("data/cleaner-offset-checkpoint"), 1 << 20).unwrap_or_default();
        String::from_utf8(content).unwrap()
    }
}

fn start(logs: &Arc<LogManager>, threads: usize) -> Arc<LogCleaner> {
    LogCleaner::start(Arc::clone(logs), Arc::new(SystemClock::new()), settings(threads), 5).unwrap()
}

fn fill(log: &PartitionLog, records: i64) {
    for at in 0..records {
        let mut builder = RecordBatchBuilder::new(Offset::ZERO);
        builder.append(&NewRecord {
            timestamp_ms: NOW_MS,
            key: Some(b"key"),
            value: Some(&at.to_be_bytes()),
            headers: &[],
        });
        let batch = builder.build().unwrap().into();
        let context = AppendContext { leader_epoch: LeaderEpoch(0), origin: AppendOrigin::Client, now_ms: NOW_MS };
        log.append_as_leader(&batch, &context).unwrap();
    }
    log.roll(NOW_MS).unwrap();
    log.set_high_watermark(log.log_end_offset());
}

fn count(log: &PartitionLog) -> u64 {
    log.size_bytes()
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("in 30 s not: {what}");
}

#[test]
fn all_compacted_logs_are_cleaned_and_that_is_written_down() {
    let machine = Machine::new(3);
    for number in 0..5 {
        fill(&machine.log(number), 50 + i64::from(number));
    }
    let expected = "0\n5\ntopic 0 50\ntopic 1 51\ntopic 2 52\ntopic 3 53\ntopic 4 54\n";
    eventually("all logs are cleaned", || machine.checkpoint() == expected);
    let one = count(&machine.log(0));
    assert!((0..5).all(|number| count(&machine.log(number)) == one), "one record is left of each");
    let readings = machine.cleaner.readings();
    assert!(readings.recopy > 0.0 && readings.recopy < 50.0, "{readings:?}");
    assert_eq!(readings.dead_threads, 0);
    assert_eq!(readings.uncleanable.values().map(|sum| sum.partitions).sum::<usize>(), 0);
    machine.cleaner.stop();

    // The next process goes on where this one was.
    machine.logs.shutdown(Some(BrokerEpoch(1)));
    machine.disk.kill();
    let logs = load_logs(&machine.disk, &machine.config);
    let cleaned = logs.compacted_logs();
    assert_eq!(cleaned.iter().map(|log| log.cleaned_up_to.unwrap().0).collect::<Vec<_>>(), [50, 51, 52, 53, 54]);
}

#[test]
fn a_device_that_fails_under_the_cleaner_takes_the_directory_offline() {
    let machine = Machine::new(1);
    machine.cleaner.stop();
    let log = machine.log(0);
    fill(&log, 90);
    machine.disk.fail_after(SimOperation::Write, 3, SimFault::Io);
    let cleaner = start(&machine.logs, 1);
    eventually("the directory is offline", || machine.logs.offline_directory_count() == 1);
    machine.disk.heal();
    assert_eq!(cleaner.readings().uncleanable.values().map(|sum| sum.partitions).sum::<usize>(), 0);
    cleaner.stop();
}

#[test]
fn a_damaged_log_is_passed_over_and_named() {
    let machine = Machine::new(1);
    machine.cleaner.stop();
    let (damaged, sound) = (machine.log(0), machine.log(1));
    fill(&damaged, 90);
    fill(&sound, 20);
    machine.disk.flip_bit(Path::new("data/topic-0/00000000000000000000.log"), 8 * 300).unwrap();
    let cleaner = start(&machine.logs, 1);
    eventually("the sound one is cleaned", || machine.checkpoint().contains("topic 1 20"));
    eventually("the damaged one is named", || {
        cleaner.readings().uncleanable.values().any(|sum| sum.partitions == 1 && sum.bytes > 0)
    });
    assert!(!machine.checkpoint().contains("topic 0"));
    // A log of the same name that is made anew is another one.
    machine.logs.delete(damaged.topic_partition()).unwrap();
    drop(damaged);
    fill(&machine.log(0), 30);
    eventually("the new one is cleaned", || machine.checkpoint().contains("topic 0 30"));
    assert!(cleaner.readings().uncleanable.values().all(|sum| sum.partitions == 0));
    cleaner.stop();
}

#[test]
fn threads_come_and_go_and_a_slow_round_ends_with_them() {
    let machine = Machine::new(0);
    let log = machine.log(0);
    fill(&log, 5000);
    let slow = CleanerConfig { io_max_bytes_per_second: 10.0, ..settings(1) };
    machine.cleaner.reconfigure(slow);
    eventually("a thread is at work", || machine.cleaner.readings().max_dirty > 0.0);
    assert_eq!(machine.checkpoint(), "", "at ten bytes a second");
    machine.cleaner.reconfigure(settings(2));
    eventually("faster", || machine.checkpoint().contains("topic 0 5000"));
    machine.cleaner.reconfigure(settings(0));
    fill(&log, 10);
    machine.cleaner.reconfigure(CleanerConfig { io_max_bytes_per_second: 10.0, ..settings(1) });
    // A stop does not wait until ten bytes a second have been enough.
    machine.cleaner.stop();
    let names = machine.disk.list(Path::new("data/topic-0")).unwrap();
    assert!(!names.iter().any(|entry| is_unfinished(&entry.name)));
}

#[test]
fn a_truncated_log_is_dirty_from_its_new_end() {
    let machine = Machine::new(1);
    let log = machine.log(0);
    fill(&log, 50);
    eventually("cleaned", || machine.checkpoint().contains("topic 0 50"));
    machine.cleaner.stop();
    log.truncate_to(Offset(20), NOW_MS).unwrap();
    machine.logs.checkpoint_truncated(log.topic_partition()).unwrap();
    assert!(machine.checkpoint().contains(&format!("topic 0 {}", log.log_end_offset())), "{}", machine.checkpoint());
}
