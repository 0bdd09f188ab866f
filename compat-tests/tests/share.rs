//! Share groups (KIP-932) as Kafka's own Java client and tools use them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use anyhow::Result;
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::tool::{java_suite, kafka_tool, run};
use ottla_compat_tests::wait::{eventually, within};

const NEWEST: &str = "4.4.0";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ShareGroupCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const CONSOLE: &str = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";

/// Locks that a test can wait for.
const SHORT_LOCKS: &[(&str, &str)] = &[
    ("group.share.record.lock.duration.ms", "3000"),
    ("group.share.min.record.lock.duration.ms", "1000"),
    // What Kafka needs to keep the state on one node; Ottla does so by itself.
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

const CASES: &[&str] = &[
    "implicit-acknowledgement",
    "explicit-acknowledgement",
    "members-share-a-partition",
    "record-limit",
    "renewed-locks",
    "closing-gives-back",
    "many-partitions",
    "described",
    "offsets-altered-and-deleted",
];

#[test]
fn the_share_consumer_of_the_newest_client() {
    let node = Node::with(SHORT_LOCKS);
    let mut suite = java_suite(NEWEST, &[], "ottla.Share");
    suite.arg(node.bootstrap());
    let ran = run(suite, b"");
    let passed = |case: &&&str| ran.stdout.lines().any(|line| line == format!("{case} ok"));
    let missing: Vec<_> = CASES.iter().filter(|case| !passed(case)).collect();
    assert!(missing.is_empty(), "not ok: {missing:?}\n{ran}");
}

/// A share consumer in a process of its own, and what it says line by line.
struct Worker {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Worker {
    fn start(node: &Node, group: &str, topic: &str, mode: &str, count: usize) -> Self {
        let mut command = java_suite(NEWEST, &[], "ottla.Share");
        command.args([&*node.bootstrap(), group, topic, mode, &count.to_string()]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a JVM");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, said: Vec::new() }
    }

    /// Waits for a line.
    #[track_caller]
    fn says(&mut self, wanted: &str) {
        within(ottla_compat_tests::wait::DEADLINE * 2, wanted, || {
            self.said.extend(self.lines.try_iter());
            self.said.iter().any(|line| line == wanted).then_some(())
        });
    }

    fn values(&mut self) -> Vec<String> {
        self.said.extend(self.lines.try_iter());
        self.said.iter().filter_map(|line| line.strip_prefix("got ").map(str::to_owned)).collect()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A topic with these values, and a group of its name that begins at its start.
fn queue(node: &Node, name: &str, values: std::ops::Range<usize>) -> Result<()> {
    let mut wire = node.wire();
    wire.create_topic(name, 1, &[])?;
    append(node, name, values)?;
    let arguments = ["--alter", "--entity-type", "groups", "--entity-name", name, "--add-config"];
    run(configs(node, &arguments, "share.auto.offset.reset=earliest"), b"").ok();
    Ok(())
}

fn configs(node: &Node, arguments: &[&str], last: &str) -> Command {
    let bootstrap = node.bootstrap();
    let mut command = kafka_tool(CONFIGS, ["--bootstrap-server", &bootstrap]);
    command.args(arguments).arg(last);
    command
}

fn append(node: &Node, topic: &str, values: std::ops::Range<usize>) -> Result<()> {
    let mut wire = node.wire();
    for value in values {
        wire.append(topic, 0, &Batch::of_values(&[&value.to_string()]).encode())?;
    }
    Ok(())
}

fn sorted(mut values: Vec<String>) -> Vec<usize> {
    let mut numbers: Vec<usize> = values.drain(..).map(|value| value.parse().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn what_a_killed_consumer_held_goes_to_another() -> Result<()> {
    let node = Node::with(SHORT_LOCKS);
    queue(&node, "killed", 0..10)?;
    let mut holder = Worker::start(&node, "killed", "killed", "hold", 10);
    holder.says("holding");
    holder.kill();
    let mut other = Worker::start(&node, "killed", "killed", "accept", 10);
    other.says("done");
    assert_eq!(sorted(other.values()), (0..10).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_consumer_goes_on_after_the_node_was_stopped_and_killed() -> Result<()> {
    let mut node = Node::with(SHORT_LOCKS);
    queue(&node, "restarted", 0..5)?;
    let mut worker = Worker::start(&node, "restarted", "restarted", "accept", 15);
    worker.says("got 4");
    node.restart();
    append(&node, "restarted", 5..10)?;
    worker.says("got 9");
    node.kill_and_restart();
    append(&node, "restarted", 10..15)?;
    worker.says("done");
    assert_eq!(sorted(worker.values()), (0..15).collect::<Vec<_>>());
    let mut next = Worker::start(&node, "restarted", "restarted", "accept", 1);
    append(&node, "restarted", 15..16)?;
    next.says("done");
    assert_eq!(next.values(), ["15"], "nothing that was accepted comes again");
    Ok(())
}

fn share_groups(node: &Node, arguments: &[&str]) -> Command {
    let bootstrap = node.bootstrap();
    let mut command = kafka_tool(GROUPS, ["--bootstrap-server", &bootstrap]);
    command.args(arguments);
    command
}

#[test]
#[ignore = "slow: make compat"]
fn the_share_groups_tool() -> Result<()> {
    let node = Node::with(SHORT_LOCKS);
    queue(&node, "tooled", 0..5)?;
    let mut worker = Worker::start(&node, "tooled", "tooled", "accept", 6);
    worker.says("got 4");
    assert!(run(share_groups(&node, &["--list"]), b"").ok().lines().any(|line| line.trim() == "tooled"));
    let members = run(share_groups(&node, &["--describe", "--group", "tooled", "--members"]), b"").ok();
    assert!(members.contains("tooled:0"), "{members}");
    let state = run(share_groups(&node, &["--describe", "--group", "tooled", "--state"]), b"").ok();
    assert!(state.contains("Stable"), "{state}");
    let refused = run(share_groups(&node, &["--delete", "--group", "tooled"]), b"");
    let said = refused.stdout + &refused.stderr;
    assert!(said.contains("is not EMPTY"), "{said}");
    append(&node, "tooled", 5..6)?;
    worker.says("done");
    drop(worker);
    eventually("the member has left", || {
        let state = run(share_groups(&node, &["--describe", "--group", "tooled", "--state"]), b"").ok();
        state.contains("Empty").then_some(())
    });
    let described = run(share_groups(&node, &["--describe", "--group", "tooled"]), b"").ok();
    let columns: Vec<_> =
        described.lines().filter(|line| line.starts_with("tooled")).flat_map(str::split_whitespace).collect();
    assert_eq!(columns[..3], ["tooled", "tooled", "0"], "{described}");
    assert_eq!(columns.last(), Some(&"0"), "no lag: {described}");

    let reset = ["--reset-offsets", "--group", "tooled", "--topic", "tooled", "--to-earliest", "--execute"];
    run(share_groups(&node, &reset), b"").ok();
    let mut again = Worker::start(&node, "tooled", "tooled", "accept", 6);
    again.says("done");
    assert_eq!(sorted(again.values()), (0..6).collect::<Vec<_>>());
    drop(again);
    let gone = |command: &[&str], what: &str| {
        eventually(what, || {
            let ran = run(share_groups(&node, command), b"");
            (ran.status.success() && !(ran.stdout + &ran.stderr).contains("Error")).then_some(())
        });
    };
    gone(&["--delete-offsets", "--group", "tooled", "--topic", "tooled"], "the offsets are deleted");
    gone(&["--delete", "--group", "tooled"], "the group is deleted");
    assert!(!run(share_groups(&node, &["--list"]), b"").ok().contains("tooled"));
    Ok(())
}

#[test]
fn the_console_share_consumer() -> Result<()> {
    let node = Node::with(SHORT_LOCKS);
    queue(&node, "console", 0..3)?;
    let bootstrap = node.bootstrap();
    let arguments =
        ["--bootstrap-server", &bootstrap, "--topic", "console", "--group", "console", "--max-messages", "3"];
    let printed = run(kafka_tool(CONSOLE, arguments), b"").ok();
    assert_eq!(sorted(printed.lines().map(str::to_owned).collect()), [0, 1, 2]);
    Ok(())
}

#[test]
#[ignore = "slow: make compat"]
fn the_benchmark_and_the_verifiable_consumer_of_queues() -> Result<()> {
    let node = Node::with(SHORT_LOCKS);
    let bootstrap = node.bootstrap();
    let server = ["--bootstrap-server", &bootstrap, "--topic"];
    queue(&node, "measured", 0..100)?;
    let measuring =
        [&server[..], &["measured", "--group", "measured", "--num-records", "100", "--hide-header"]].concat();
    let printed = run(kafka_tool("org.apache.kafka.tools.ShareConsumerPerformance", measuring), b"").ok();
    // Start, end, MB, MB/s, records/s, records.
    let columns: Vec<&str> = printed.lines().last().unwrap_or_default().split(", ").collect();
    assert!(columns.contains(&"100"), "{printed}");
    queue(&node, "verified", 0..20)?;
    let verifying = [&server[..], &["verified", "--group-id", "verified", "--max-messages", "20"]].concat();
    let printed = run(kafka_tool("org.apache.kafka.tools.VerifiableShareConsumer", verifying), b"").ok();
    for event in ["records_consumed", "offsets_acknowledged", "shutdown_complete"] {
        assert!(printed.contains(event), "{event}: {printed}");
    }
    Ok(())
}
