//! One broker process and its directory.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::peer::{self, Peer};
use crate::wait::within;
use crate::wire::Wire;

/// How long a broker may take until it answers: a Kafka beside a busy compiler needs a while.
const START_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running broker. Dropping it kills the process and removes its directory.
pub struct Node {
    peer: Peer,
    port: u16,
    other_port: u16,
    home: TempDir,
    log_dir: PathBuf,
    child: Option<Child>,
    /// Beside a Kafka that needs one.
    zookeeper: Option<Child>,
    ready_after: Duration,
    /// Soft and hard limit on open files, as `ulimit -n` takes them; none: those of this process.
    open_files: Option<(u64, u64)>,
}

impl Node {
    /// A broker with defaults on an empty directory.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A broker with these properties besides host, ports and directory. `{port}` in a value is the port that
    /// [`bootstrap`](Self::bootstrap) names; `listeners` given here must hold it. `{home}` is the directory of
    /// [`scratch`](Self::scratch), and `{home}/data` that of [`log_dir`](Self::log_dir).
    pub fn with(properties: &[(&str, &str)]) -> Self {
        Self::on(|_| (), properties)
    }

    /// A broker whose log directory `prepare` filled before the first start.
    pub fn on(prepare: impl FnOnce(&Path), properties: &[(&str, &str)]) -> Self {
        Self::of(Peer::chosen(), prepare, properties)
    }

    /// A broker of this kind, whatever the tests are held against.
    pub fn of(peer: Peer, prepare: impl FnOnce(&Path), properties: &[(&str, &str)]) -> Self {
        Self::prepared(peer, prepare, properties, None)
    }

    /// A broker that starts with these limits, soft and hard, on its open files.
    pub fn with_open_files(limits: (u64, u64), properties: &[(&str, &str)]) -> Self {
        Self::prepared(Peer::chosen(), |_| (), properties, Some(limits))
    }

    fn prepared(
        peer: Peer,
        prepare: impl FnOnce(&Path),
        properties: &[(&str, &str)],
        open_files: Option<(u64, u64)>,
    ) -> Self {
        let home = tempfile::Builder::new().prefix("ottla-compat-").tempdir().expect("a directory");
        let log_dir = home.path().join("data");
        let (port, other_port) = (free_port(), free_port());
        prepare(&log_dir);
        peer::prepare_log_dir(peer, &log_dir);
        let mut all = peer::base_properties(peer, port, other_port, &log_dir);
        for (key, value) in properties {
            let value = value.replace("{port}", &port.to_string());
            let value = value.replace("{home}", &home.path().display().to_string());
            peer::set_property(peer, &mut all, key, &value);
        }
        fs::write(home.path().join("server.properties"), peer::to_text(&all)).expect("a properties file");
        let ready_after = Duration::ZERO;
        let mut node =
            Self { peer, port, other_port, home, log_dir, child: None, zookeeper: None, ready_after, open_files };
        node.run();
        node
    }

    /// Starts the process again on the same directory and ports, and waits until it answers.
    pub fn run(&mut self) {
        self.run_within(START_LIMIT);
    }

    /// As [`run`](Self::run), for a broker that has much to recover.
    pub fn run_within(&mut self, limit: Duration) {
        assert!(self.child.is_none(), "still running");
        if let Peer::OldKafka { version, zookeeper: true } = self.peer {
            let mut zookeeper = peer::zookeeper(version, self.home.path(), self.other_port);
            self.zookeeper = Some(zookeeper.spawn().expect("ZooKeeper starts"));
        }
        let begin = Instant::now();
        let mut command = peer::command(self.peer, &self.properties_file(), &self.output_file(), self.open_files);
        self.child = Some(command.spawn().expect("the broker starts"));
        within(limit, "the broker answers", || {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().expect("a status")) {
                panic!("the broker ended with {status} at its start:\n{}", self.output());
            }
            Wire::connect(&self.bootstrap()).ok()?.broker_ids().ok().filter(|ids| !ids.is_empty())
        });
        self.ready_after = begin.elapsed();
    }

    /// Ends the process as a power cut would as far as it can tell (SIGKILL).
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running broker");
        child.kill().expect("a kill");
        child.wait().expect("an end");
    }

    /// Asks the process to stop (SIGTERM) and waits for its end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.terminate_within(STOP_LIMIT)
    }

    /// As [`terminate`](Self::terminate), for a broker that has much to write.
    pub fn terminate_within(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("a running broker");
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::TERM).expect("a signal");
        let status = within(limit, "the broker stops on SIGTERM", || child.try_wait().expect("a status"));
        self.kill_zookeeper();
        status
    }

    /// The next start is another kind of broker's, on the same files and properties.
    pub fn hand_over_to(&mut self, peer: Peer) {
        assert!(self.child.is_none(), "still running");
        self.peer = peer;
    }

    fn kill_zookeeper(&mut self) {
        if let Some(mut zookeeper) = self.zookeeper.take() {
            let _ = zookeeper.kill();
            let _ = zookeeper.wait();
        }
    }

    /// Stops in good order and starts again.
    pub fn restart(&mut self) {
        self.terminate();
        self.run();
    }

    /// Kills and starts again.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.run();
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of the admin HTTP listener, which only Ottla has; with Kafka, that of the controller or of ZooKeeper.
    pub fn admin_address(&self) -> String {
        format!("127.0.0.1:{}", self.other_port)
    }

    /// A raw connection.
    pub fn wire(&self) -> Wire {
        match self.peer {
            Peer::OldKafka { .. } => Wire::connect_to_any(&self.bootstrap()).expect("a connection"),
            Peer::Ottla | Peer::Kafka => Wire::connect(&self.bootstrap()).expect("a connection"),
        }
    }

    /// The only directory of `log.dirs`.
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// The directory of one partition.
    pub fn partition_dir(&self, topic: &str, partition: i32) -> PathBuf {
        self.log_dir.join(format!("{topic}-{partition}"))
    }

    /// A place for the test's own files, gone with the node.
    pub fn scratch(&self) -> &Path {
        self.home.path()
    }

    pub fn properties_file(&self) -> PathBuf {
        self.home.path().join("server.properties")
    }

    /// What the process wrote to its standard output and error, over all starts.
    pub fn output(&self) -> String {
        fs::read_to_string(self.output_file()).unwrap_or_default()
    }

    /// From the last start of the process to its first answer.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running broker").id()
    }

    /// Resident memory of the process.
    pub fn rss_bytes(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// The most memory that was resident since the start, or since [`reset_peak_rss`](Self::reset_peak_rss).
    pub fn peak_rss_bytes(&self) -> u64 {
        self.status_kib("VmHWM:") * 1024
    }

    /// Lets the peak begin anew (proc(5), `clear_refs`).
    pub fn reset_peak_rss(&self) {
        fs::write(self.proc("clear_refs"), "5").expect("the peak is reset");
    }

    /// How many files and sockets the process has open.
    pub fn open_files(&self) -> usize {
        self.descriptors().len()
    }

    /// How many sockets the process has open.
    pub fn open_sockets(&self) -> usize {
        let is_socket = |target: &PathBuf| target.to_string_lossy().starts_with("socket:");
        self.descriptors().into_iter().filter(is_socket).count()
    }

    /// What each open descriptor stands for; one that was closed meanwhile is left out.
    fn descriptors(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.proc("fd")).expect("the open files of the process");
        entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    }

    /// How many files the process may open.
    pub fn open_file_limit(&self) -> u64 {
        let limits = fs::read_to_string(self.proc("limits")).expect("the limits of the process");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
        line.split_whitespace().next().and_then(|soft| soft.parse().ok()).expect("a number")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("the status of the process");
        let line = status.lines().find(|line| line.starts_with(field)).expect("the field");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.pid()))
    }

    /// True while the process lives.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("a status").is_none())
    }

    fn output_file(&self) -> PathBuf {
        self.home.path().join("output.txt")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.kill_zookeeper();
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            eprintln!("--- the broker's last lines\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

/// A port nobody listens on, below the range from which the system takes ports for outgoing connections, so that it
/// stays free while a node is down between two starts. Test processes count from different places.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + (std::process::id() % 97) as u16 * 200;
    loop {
        let port = 12_000 + (first - 12_000 + NEXT.fetch_add(1, Ordering::Relaxed)) % 19_400;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
