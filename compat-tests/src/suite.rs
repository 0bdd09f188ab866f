//! Programs in other languages that run named cases against one broker.
//!
//! ```text
//! program ... host:port case...    what it is started with
//! case ok | case FAILED reason     what it says of each case, on a line of its own
//! broker kill | broker restart     what it asks for in the midst of a case; the answer is a line on its input
//! ```
//!
//! A program judges by itself; here it is only made sure that each case was judged, and the broker is stopped where a
//! case wants it stopped.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::Node;
use crate::tool::{collect, join, show};

/// How long a program may take for all its cases: a Kafka that is stopped and started several times needs minutes.
const SUITE_LIMIT: Duration = Duration::from_secs(600);

/// The cases that every language has.
pub const CASES: [&str; 7] = ["codecs", "rebalance", "commits", "admin-topics", "admin-groups", "kill", "restart"];

/// What makes groups quick on either broker: no wait for further members, frequent heartbeats, few partitions of the
/// offsets topic.
pub const QUICK_GROUPS: [(&str, &str); 4] = [
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.consumer.min.heartbeat.interval.ms", "100"),
    ("group.consumer.heartbeat.interval.ms", "200"),
    ("offsets.topic.num.partitions", "3"),
];

/// Runs `program` on `cases`; each must say ok.
#[track_caller]
pub fn passes(node: &mut Node, mut program: Command, cases: &[&str]) {
    program.arg(node.bootstrap()).args(cases);
    let shown = show(&program);
    let child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{shown}: {error}: run compat-tests/setup.sh"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let stderr = collect(child.stderr.take().expect("a pipe"));
    let (sender, lines) = channel();
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let reader =
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));

    let end = Instant::now() + SUITE_LIMIT;
    let mut said = Vec::new();
    let in_time = loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                match line.as_str() {
                    "broker kill" => node.kill_and_restart(),
                    "broker restart" => node.restart(),
                    _ => {
                        said.push(line);
                        continue;
                    }
                }
                // A program that gave up meanwhile reads no answer; what it said is judged below.
                let _ = stdin.write_all(b"done\n");
            }
            Err(RecvTimeoutError::Disconnected) => break true,
            Err(RecvTimeoutError::Timeout) => break false,
        }
    };
    if !in_time {
        let _ = child.kill();
    }
    let status = child.wait().expect("a status");
    let _ = reader.join();
    let report = format!("{shown}: {status}\n{}\n{}", said.join("\n"), join(stderr));
    assert!(in_time, "killed after {SUITE_LIMIT:?}: {report}");
    let missing: Vec<_> = cases.iter().filter(|case| !said.contains(&format!("{case} ok"))).collect();
    assert!(missing.is_empty(), "not ok: {missing:?}\n{report}");
    let failed = said.iter().any(|line| line.split_whitespace().nth(1) == Some("FAILED"));
    assert!(!failed, "{report}");
    assert!(status.success(), "{report}");
}
