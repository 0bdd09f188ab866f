//! Which broker the tests are held against, and how its process is started.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::tool::{cache_dir, class_path_of, crate_dir, java, kafka_class_path, kafka_java};

/// The broker under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Ottla,
    /// Apache Kafka itself (`OTTLA_COMPAT_PEER=kafka`), to prove that a test asks for Kafka's behaviour.
    Kafka,
    /// An older Kafka, whose directory is taken over: its version, and whether it runs with a ZooKeeper.
    OldKafka {
        version: &'static str,
        zookeeper: bool,
    },
}

impl Peer {
    /// What `OTTLA_COMPAT_PEER` names; Ottla if nothing.
    pub fn chosen() -> Self {
        match std::env::var("OTTLA_COMPAT_PEER").as_deref() {
            Err(_) | Ok("" | "ottla") => Self::Ottla,
            Ok("kafka") => Self::Kafka,
            Ok(other) => panic!("OTTLA_COMPAT_PEER={other}: neither ottla nor kafka"),
        }
    }
}

/// True if the test asks for something that only Ottla has and the peer is another: the test then returns at once.
pub fn only_ottla() -> bool {
    let skip = Peer::chosen() != Peer::Ottla;
    if skip {
        eprintln!("skipped: asks for what only ottla has");
    }
    skip
}

/// The `ottla` binary: `OTTLA_BIN`, or the newest build in the target directory.
fn ottla_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("OTTLA_BIN") {
        return path.into();
    }
    let targets = [std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from), Some(crate_dir().join("../target"))];
    let built = targets.into_iter().flatten().flat_map(|target| {
        ["compat", "release", "debug"].into_iter().map(move |profile| target.join(profile).join("ottla"))
    });
    let newest = built.filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path))).max();
    newest.expect("no ottla binary: run `cargo build --profile compat`, or set OTTLA_BIN").1
}

/// The `ottla` binary, without what this environment would configure.
pub fn ottla() -> Command {
    let mut command = Command::new(ottla_binary());
    for (name, _) in std::env::vars_os() {
        if ["OTTLA_", "KAFKA_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// The flags that Kafka's own start script gives its broker: a heap of 1 GiB, G1.
const KAFKA_JVM: [&str; 8] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
];

/// The command that runs a broker of this kind on `properties`.
pub(crate) fn command(peer: Peer, properties: &Path, output: &Path, open_files: Option<(u64, u64)>) -> Command {
    let mut command = match peer {
        Peer::Ottla => {
            let mut command = ottla();
            command.arg("--config").arg(properties);
            command
        }
        Peer::Kafka => {
            let mut command = java();
            command.args(KAFKA_JVM).arg("-cp").arg(kafka_class_path()).arg("kafka.Kafka").arg(properties);
            command
        }
        Peer::OldKafka { version, .. } => {
            let mut command = kafka_java("-Xmx512M");
            command.arg("-cp").arg(class_path_of(version)).arg("kafka.Kafka").arg(properties);
            command
        }
    };
    if let Some((soft, hard)) = open_files {
        command = limited(&command, soft, hard);
    }
    let log = OpenOptions::new().create(true).append(true).open(output).expect("an output file");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
    command
}

/// The same command under limits on its open files. The shell becomes the command: its process id stays.
fn limited(command: &Command, soft: u64, hard: u64) -> Command {
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("ulimit -S -n {soft} && ulimit -H -n {hard} && exec \"$@\"")).arg("sh");
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// The properties every broker of this kind needs besides those the test asks for.
pub(crate) fn base_properties(peer: Peer, port: u16, other_port: u16, log_dir: &Path) -> Vec<(String, String)> {
    let own = |key: &str, value: String| (key.to_owned(), value);
    let mut properties = vec![own("log.dirs", log_dir.display().to_string())];
    match peer {
        Peer::Ottla => properties.extend([
            own("listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
            own("admin.listeners", format!("127.0.0.1:{other_port}")),
        ]),
        Peer::OldKafka { zookeeper: true, .. } => properties.extend([
            own("broker.id", "1".into()),
            own("zookeeper.connect", format!("127.0.0.1:{other_port}")),
            own("listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
            own("offsets.topic.replication.factor", "1".into()),
        ]),
        Peer::Kafka | Peer::OldKafka { .. } => properties.extend([
            own("node.id", "1".into()),
            own("process.roles", "broker,controller".into()),
            own("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{other_port}")),
            own("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
            own("controller.quorum.voters", format!("1@127.0.0.1:{other_port}")),
            own("controller.listener.names", "CONTROLLER".into()),
            own("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".into()),
            own("offsets.topic.replication.factor", "1".into()),
            own("transaction.state.log.replication.factor", "1".into()),
            own("transaction.state.log.min.isr", "1".into()),
        ]),
    }
    properties
}

/// Sets a property in place of the one that is there. Kafka's own controller listener stays beside any other, and goes
/// with that role.
pub(crate) fn set_property(peer: Peer, properties: &mut Vec<(String, String)>, key: &str, value: &str) {
    let before = properties.iter().position(|(taken, _)| taken == key).map(|at| properties.remove(at).1);
    let controller =
        before.as_ref().and_then(|before| before.split(',').find(|part| part.starts_with("CONTROLLER:")));
    let value = match controller {
        Some(controller) if peer != Peer::Ottla => format!("{value},{controller}"),
        _ => value.to_owned(),
    };
    if (key, &*value) == ("process.roles", "broker") {
        for (_, listeners) in properties.iter_mut().filter(|(key, _)| key == "listeners") {
            let kept = listeners.split(',').filter(|part| !part.starts_with("CONTROLLER:"));
            *listeners = kept.collect::<Vec<_>>().join(",");
        }
    }
    properties.push((key.to_owned(), value));
}

/// Kafka starts on a formatted directory only; the formatting is done once and copied from then on.
pub(crate) fn prepare_log_dir(peer: Peer, log_dir: &Path) {
    if matches!(peer, Peer::Ottla | Peer::OldKafka { zookeeper: true, .. })
        || log_dir.join("meta.properties").exists()
    {
        return;
    }
    if let Peer::OldKafka { version, .. } = peer {
        return format(peer, class_path_of(version), log_dir);
    }
    fs::create_dir_all(log_dir).expect("a log directory");
    for file in fs::read_dir(formatted_template()).expect("the template").flatten() {
        fs::copy(file.path(), log_dir.join(file.file_name())).expect("a copy of the template");
    }
}

/// A directory that kafka-storage formatted, with `cluster.id` [`FORMATTED_CLUSTER_ID`] and `node.id` 1.
pub fn formatted_template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let home = cache_dir().join("formatted");
        if home.join("meta.properties").exists() {
            return home;
        }
        let work = tempfile::tempdir_in(cache_dir()).expect("a directory");
        let log_dir = work.path().join("log");
        format(Peer::Kafka, kafka_class_path(), &log_dir);
        // Another test process may have been quicker; either result serves.
        let _ = fs::rename(&log_dir, &home);
        home
    })
}

/// What `kafka-storage format` makes of a log directory.
fn format(peer: Peer, class_path: PathBuf, log_dir: &Path) {
    let work = tempfile::tempdir_in(cache_dir()).expect("a directory");
    let properties = work.path().join("server.properties");
    fs::write(&properties, to_text(&base_properties(peer, 9092, 9093, log_dir))).expect("a file");
    let mut format = kafka_java("-Xmx128M");
    format.arg("-cp").arg(class_path).arg("kafka.tools.StorageTool");
    format.args(["format", "-t", FORMATTED_CLUSTER_ID, "-c"]).arg(&properties);
    let output = format.output().expect("java runs");
    assert!(output.status.success(), "kafka-storage format: {}", String::from_utf8_lossy(&output.stderr));
}

/// The ZooKeeper that goes with an old Kafka, its data in `home`.
pub(crate) fn zookeeper(version: &str, home: &Path, port: u16) -> Command {
    let config = home.join("zookeeper.properties");
    let text = format!("dataDir={}\nclientPort={port}\nadmin.enableServer=false\n", home.join("zookeeper").display());
    fs::write(&config, text).expect("a file");
    let log = OpenOptions::new().create(true).append(true).open(home.join("zookeeper.txt")).expect("a file");
    let mut command = kafka_java("-Xmx256M");
    command.arg("-cp").arg(class_path_of(version));
    command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(config);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
    command
}

/// The cluster id in [`formatted_template`].
pub const FORMATTED_CLUSTER_ID: &str = "5L6g3nShT-eMCtK--X86sw";

/// The text of a properties file.
pub(crate) fn to_text(properties: &[(String, String)]) -> String {
    properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}
