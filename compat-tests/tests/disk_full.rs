//! A disk that fills up, or takes no writes, under a running broker: a small tmpfs that the test mounts itself.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use ottla_compat_tests::batch::{Batch, Record};
use ottla_compat_tests::http;
use ottla_compat_tests::librdkafka::{Sender, read_all};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::Wire;
use ottla_compat_tests::{Node, only_ottla};
use tempfile::TempDir;

const KAFKA_STORAGE_ERROR: i16 = 56;
const VOLUME_MIB: usize = 32;

/// A mounted tmpfs; unmounted with its end.
struct Volume {
    home: TempDir,
}

impl Volume {
    /// `None`: mounting is not permitted here, or the peer is none that outlives a full disk.
    fn mount() -> Option<Self> {
        if only_ottla() {
            return None;
        }
        let home = tempfile::Builder::new().prefix("ottla-volume-").tempdir().expect("a directory");
        let size = format!("size={VOLUME_MIB}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(home.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self { home }),
            other => {
                eprintln!("skipped: a tmpfs can't be mounted here: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn log_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    /// A broker whose log directory lies on the volume.
    fn node(&self) -> Node {
        let log_dir = self.log_dir().display().to_string();
        let node = Node::with(&[("log.dirs", &log_dir), ("offsets.topic.num.partitions", "1")]);
        // Segments of the least size that Kafka takes, so that the oldest can go.
        let configs = [("segment.bytes", "1048576")];
        node.wire().create_topic("filled", 1, &configs).expect("a topic");
        node
    }

    /// Takes room until so many bytes are left; 0 is until nothing more goes in.
    fn fill(&self, left_bytes: u64) {
        let mut filler = OpenOptions::new().create(true).append(true).open(self.filler()).expect("a file");
        let block = [7; 4096];
        while left_bytes == 0 || self.free_bytes() > left_bytes {
            if filler.write_all(&block).is_err() {
                break;
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    fn free_bytes(&self) -> u64 {
        let volume = rustix::fs::statvfs(self.path()).expect("the volume's room");
        volume.f_bavail * volume.f_frsize
    }

    fn remount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{options}")]).arg(self.path());
        mount.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a process that is on its way out may still hold it.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "the volume stays mounted"
        );
    }
}

fn batch(number: usize) -> Batch {
    Batch::of(vec![Record::keyed(number.to_string().into_bytes(), vec![number as u8; 50_000])])
}

/// Produces until the broker refuses; the numbers of the records that it took.
fn produce_until_refused(node: &Node) -> Result<usize> {
    let mut wire = node.wire();
    for number in 0..10_000 {
        match wire.produce("filled", 0, -1, &batch(number).encode())?.error_code {
            0 => {}
            KAFKA_STORAGE_ERROR => return Ok(number),
            other => panic!("error {other}"),
        }
    }
    panic!("the volume holds more than it can");
}

fn is_writable(node: &Node) -> bool {
    let (status, metrics) = http::get(&node.admin_address(), "/metrics").expect("the metrics");
    assert_eq!(status, 200);
    let line = metrics.lines().find(|line| line.starts_with("ottla_log_directory_writable{"));
    line.expect("the directory's metric").ends_with(" 1")
}

#[track_caller]
fn holds_the_first(node: &Node, records: usize) {
    let read = read_all(&node.bootstrap(), "filled", 0);
    let keys: Vec<_> = read.iter().map(|record| record.key_text()).take(records).collect();
    assert_eq!(keys, (0..records).map(|number| number.to_string()).collect::<Vec<_>>());
}

fn writes_resume(node: &Node) {
    let mut wire = node.wire();
    eventually("writes resume", || {
        (wire.produce("filled", 0, -1, &batch(0).encode()).ok()?.error_code == 0).then_some(())
    });
    assert!(is_writable(node));
}

#[test]
fn producers_wait_while_a_disk_is_full_and_go_on_when_it_is_not() -> Result<()> {
    let Some(volume) = Volume::mount() else { return Ok(()) };
    let mut node = volume.node();
    let mut wire = node.wire();
    wire.create_topic("commits", 1, &[])?;
    assert!(is_writable(&node));
    let sender = Sender::new(&node.bootstrap(), &[("enable.idempotence", "true"), ("batch.size", "60000")]);
    let send = |from: usize, to: usize| {
        for number in from..to {
            sender.send("filled", Some(0), &number.to_string(), &[number as u8; 20_000]);
        }
    };
    send(0, 100);
    let reports = sender.reports().clone();
    eventually("the first are taken", || (reports.acknowledged() == 100).then_some(()));
    // Somebody else takes what is kept for the broker, but for a part.
    volume.fill(400_000);
    eventually("the directory is full", || (!is_writable(&node)).then_some(()));
    send(100, 300);
    let refused = wire.produce("filled", 0, -1, &batch(0).encode())?;
    assert_eq!(refused.error_code, KAFKA_STORAGE_ERROR);
    assert!(node.is_running());
    holds_the_first(&node, 100);
    let acknowledged = reports.acknowledged();
    assert_eq!(acknowledged, 100, "the producer waits");
    // Metadata and deletions go on in the room that is kept.
    wire.create_topic("made-while-full", 1, &[])?;
    wire.delete_topic("made-while-full")?;

    fs::remove_file(volume.filler())?;
    sender.finish_ok();
    writes_resume(&node);
    let read = read_all(&node.bootstrap(), "filled", 0);
    let keys: Vec<_> = read.iter().map(|record| record.key_text()).take(300).collect();
    assert_eq!(keys, (0..300).map(|number| number.to_string()).collect::<Vec<_>>(), "each once and in order");
    assert!(!node.output().contains("goes offline"), "a state, not a death");
    Ok(())
}

#[test]
fn deleted_records_make_room() -> Result<()> {
    let Some(volume) = Volume::mount() else { return Ok(()) };
    let node = volume.node();
    let taken = produce_until_refused(&node)?;
    assert!(taken > 400, "{taken}");
    holds_the_first(&node, taken);
    let kept_from = taken as i64 - 10;
    assert_eq!(node.wire().delete_records("filled", 0, kept_from)?, (0, kept_from));
    writes_resume(&node);
    let read = read_all(&node.bootstrap(), "filled", 0);
    assert_eq!(read[0].key_text(), kept_from.to_string());
    Ok(())
}

#[test]
fn a_deleted_topic_makes_room() -> Result<()> {
    let Some(volume) = Volume::mount() else { return Ok(()) };
    let node = volume.node();
    produce_until_refused(&node)?;
    let mut wire = node.wire();
    wire.delete_topic("filled")?;
    eventually("the topic can be made anew", || wire.create_topic("filled", 1, &[("segment.bytes", "1048576")]).ok());
    writes_resume(&node);
    Ok(())
}

#[test]
fn a_full_disk_survives_kills_and_restarts() -> Result<()> {
    let Some(volume) = Volume::mount() else { return Ok(()) };
    let mut node = volume.node();
    let taken = produce_until_refused(&node)?;
    for stop in [Node::kill_and_restart as fn(&mut Node), Node::restart] {
        stop(&mut node);
        holds_the_first(&node, taken);
        let refused = node.wire().produce("filled", 0, -1, &batch(0).encode())?;
        assert_eq!(refused.error_code, KAFKA_STORAGE_ERROR);
    }
    node.wire().delete_records("filled", 0, taken as i64 - 10)?;
    writes_resume(&node);
    Ok(())
}

/// Not even the room that is kept is left: somebody else has taken it.
#[test]
fn not_a_byte_left_loses_nothing() -> Result<()> {
    let Some(volume) = Volume::mount() else { return Ok(()) };
    let mut node = volume.node();
    let mut wire = node.wire();
    for number in 0..50 {
        wire.append("filled", 0, &batch(number).encode())?;
    }
    volume.fill(0);
    assert_eq!(wire.produce("filled", 0, -1, &batch(50).encode())?.error_code, KAFKA_STORAGE_ERROR);
    holds_the_first(&node, 50);
    node.kill();
    fs::remove_file(volume.filler())?;
    node.run();
    holds_the_first(&node, 50);
    writes_resume(&node);
    Ok(())
}

#[test]
fn a_read_only_volume_is_said_to_be_one() -> Result<()> {
    let Some(volume) = Volume::mount() else { return Ok(()) };
    let mut node = volume.node();
    let mut wire = node.wire();
    for number in 0..10 {
        wire.append("filled", 0, &batch(number).encode())?;
    }
    if volume.remount("ro") {
        assert_eq!(wire.produce("filled", 0, -1, &batch(10).encode())?.error_code, KAFKA_STORAGE_ERROR);
        holds_the_first(&node, 10);
        assert!(volume.remount("rw"));
        writes_resume(&node);
    } else {
        eprintln!(
            "not tried on a running broker: this kernel remounts no file system with files that are open for writing"
        );
    }
    node.terminate();
    assert!(volume.remount("ro"));
    let mut start = ottla_compat_tests::ottla();
    start.arg("--config").arg(node.properties_file());
    let said = ottla_compat_tests::tool::run(start, b"").fails();
    assert!(said.contains("log directory") && said.contains("Read-only file system"), "{said}");
    let mut check = ottla_compat_tests::ottla();
    check.arg("check").arg(volume.log_dir());
    assert!(ottla_compat_tests::tool::run(check, b"").ok().contains("no damage"), "it can be checked");
    assert!(volume.remount("rw"));
    node.run();
    holds_the_first(&node, 10);
    Ok(())
}

/// What stands in the way of a new log here is a file; what is told of is the same as where there is no room.
#[test]
fn a_log_that_could_not_be_made_is_made_later() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("before", 1, &[])?;
    let obstacle = node.partition_dir("late", 1);
    fs::write(&obstacle, "in the way")?;
    wire.request_topic("late", 3, &[])?;
    let produced = |wire: &mut Wire, partition| {
        let answer = wire.produce("late", partition, -1, &batch(0).encode()).expect("an answer");
        (answer.error_code, answer.base_offset)
    };
    eventually("the others are there", || (produced(&mut wire, 2).0 == 0).then_some(()));
    assert_eq!(produced(&mut wire, 1).0, KAFKA_STORAGE_ERROR);
    fs::remove_file(&obstacle)?;
    let first = eventually("its log is made", || Some(produced(&mut wire, 1)).filter(|(code, _)| *code == 0));
    assert_eq!(first, (0, 0));
    wire.append("before", 0, &batch(0).encode())?;
    Ok(())
}
