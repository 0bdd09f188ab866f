//! Command line clients with a deadline.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::within;

/// How long a tool may run: a JVM start on two busy processors takes seconds by itself.
const TOOL_LIMIT: Duration = Duration::from_secs(120);

/// The version of Kafka whose tools and broker are used: the one `kafka-cli/pom.xml` names.
pub const KAFKA_VERSION: &str = "4.3.1";

/// What a tool did.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    command: String,
}

impl Ran {
    /// Standard output of a tool that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }

    /// Standard output and error of a tool that must fail.
    #[track_caller]
    pub fn fails(self) -> String {
        assert!(!self.status.success(), "should have failed: {self}");
        self.stdout + &self.stderr
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\n{}\n{}", self.command, self.status, self.stdout, self.stderr)
    }
}

/// Runs a command to its end with `input` as its standard input; kills it and fails after the deadline.
#[track_caller]
pub fn run(command: Command, input: &[u8]) -> Ran {
    run_within(TOOL_LIMIT, command, input)
}

/// As [`run`], with a deadline of its own.
#[track_caller]
pub fn run_within(limit: Duration, mut command: Command, input: &[u8]) -> Ran {
    let shown = show(&command);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap_or_else(|error| panic!("{shown}: {error}: run compat-tests/setup.sh"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // A tool that ends early closes the pipe; what it made of its input is for the test to judge.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = collect(child.stdout.take().expect("a pipe"));
    let stderr = collect(child.stderr.take().expect("a pipe"));
    let begin = std::time::Instant::now();
    let status = within(limit * 2, "the tool ends", || {
        if begin.elapsed() > limit {
            let _ = child.kill();
        }
        child.try_wait().expect("a status")
    });
    feeding.join().expect("the input");
    let ran = Ran { status, stdout: join(stdout), stderr: join(stderr), command: shown };
    assert!(begin.elapsed() <= limit, "killed after {limit:?}: {ran}");
    ran
}

/// kcat with `-b bootstrap` and these arguments.
pub fn kcat<S: AsRef<OsStr>>(bootstrap: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("kcat");
    command.args(["-b", bootstrap]).args(arguments);
    command
}

/// A class of Kafka's own tools, by its full name.
pub fn kafka_tool<S: AsRef<OsStr>>(class: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = kafka_java("-Xmx256M");
    command.arg("-cp").arg(kafka_class_path()).arg(class).args(arguments);
    command
}

/// A class of Kafka's own tools that is told of the broker by `--bootstrap-server`.
pub fn kafka_tool_at<S: AsRef<OsStr>>(
    bootstrap: &str,
    class: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = kafka_tool(class, ["--bootstrap-server", bootstrap]);
    command.args(arguments);
    command
}

/// A JVM for Kafka's classes: a small heap, and flags that shorten its start.
pub(crate) fn kafka_java(heap: &str) -> Command {
    let mut command = java();
    command.args([heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto"]);
    command
}

/// A JVM as it comes, with a quiet log.
pub fn java() -> Command {
    let mut command = Command::new("java");
    command.arg(format!("-Dlog4j2.configurationFile={}", crate_dir().join("kafka-cli/log4j2.yaml").display()));
    command
}

/// The jars of Kafka's broker, tools and Java client.
pub fn kafka_class_path() -> PathBuf {
    class_path_of(KAFKA_VERSION)
}

/// The jars of a version of Kafka: others than [`KAFKA_VERSION`] come with `setup.sh --all`.
pub(crate) fn class_path_of(version: &str) -> PathBuf {
    let lib = cache_dir().join(format!("kafka-{version}/lib"));
    assert!(lib.is_dir(), "{} is missing: run compat-tests/setup.sh --all", lib.display());
    lib.join("*")
}

/// A main class of `java/`, compiled against this version of kafka-clients, in a JVM with these flags.
pub fn java_suite(clients: &str, flags: &[&str], class: &str) -> Command {
    let home = cache_dir().join("java").join(clients);
    assert!(home.join("classes").is_dir(), "{} is missing: run compat-tests/setup.sh", home.display());
    let mut class_path = home.join("classes").into_os_string();
    class_path.push(":");
    class_path.push(home.join("lib/*"));
    let mut command = kafka_java("-Xmx256M");
    command.args(flags).arg("-cp").arg(class_path).arg(class);
    command
}

/// The program of `go/`, for one of its libraries.
pub fn go_clients(library: &str) -> Command {
    let mut command = Command::new(cached("go/clients"));
    command.arg(library);
    command
}

/// The program of `python/`, for one of its libraries.
pub fn python_clients(library: &str) -> Command {
    let mut command = Command::new(cached("python/bin/python"));
    command.arg("-B").arg(crate_dir().join("python/main.py")).arg(library);
    command
}

/// The program of `node/`, for one of its libraries.
pub fn node_clients(library: &str) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", cached("node/node_modules"));
    command.arg(crate_dir().join("node/main.js")).arg(library);
    command
}

/// Something that `setup.sh` put into the cache.
fn cached(path: &str) -> PathBuf {
    let path = cache_dir().join(path);
    assert!(path.exists(), "{} is missing: run compat-tests/setup.sh", path.display());
    path
}

/// Where `setup.sh` puts things.
pub fn cache_dir() -> PathBuf {
    let dir = crate_dir().join(".cache");
    fs::create_dir_all(&dir).expect("the cache directory");
    dir
}

/// Where this package lies. Cargo says so when it runs the tests: a build shared by several checkouts may come from
/// another one.
pub(crate) fn crate_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    })
}

pub(crate) fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        all
    })
}

pub(crate) fn join(reader: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&reader.join().expect("a reader")).into_owned()
}

pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
