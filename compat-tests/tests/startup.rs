//! How the `ottla` binary starts, and how it says that it cannot: one clear line, exit code 1, nothing touched.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use ottla_compat_tests::node::free_port;
use ottla_compat_tests::tool::{Ran, run_within};
use ottla_compat_tests::wire::Wire;
use ottla_compat_tests::{FORMATTED_CLUSTER_ID, Node, formatted_template, only_ottla};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

fn ottla(arguments: &[&str]) -> Command {
    let mut command = ottla_compat_tests::ottla();
    command.args(arguments);
    command
}

/// Runs `ottla --config` on these lines to its end.
fn start_with(home: &Path, lines: &[String]) -> Ran {
    let file = home.join("server.properties");
    fs::write(&file, lines.join("\n")).expect("a file");
    run_within(LIMIT, ottla(&["--config", &file.display().to_string()]), b"")
}

/// A file that would start: free ports, and a data directory that does not exist yet.
fn good(home: &Path) -> Vec<String> {
    vec![
        format!("listeners=PLAINTEXT://127.0.0.1:{}", free_port()),
        format!("log.dirs={}", home.join("data").display()),
        "admin.listeners=".to_owned(),
    ]
}

/// The single line on standard error of a start that was refused with exit code 1.
#[track_caller]
fn refused(ran: &Ran) -> String {
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "one line: {ran}");
    assert!(!lines[0].contains("panicked"), "{ran}");
    lines[0].to_owned()
}

/// Every path below a directory with the length of the file.
fn listing(dir: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let metadata = entry.metadata().expect("metadata");
            found.insert(entry.path().display().to_string(), if metadata.is_dir() { 0 } else { metadata.len() });
            if metadata.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    found
}

fn home() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_made() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let home = home();
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let mut lines = good(home.path());
    lines[0] = format!("listeners=PLAINTEXT://127.0.0.1:{port}");
    let line = refused(&start_with(home.path(), &lines));
    assert!(line.contains(&port.to_string()), "{line}");
    assert!(!home.path().join("data").exists(), "no directory was made");
    Ok(())
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    if only_ottla() {
        return;
    }
    let home = home();
    fs::write(home.path().join("file"), b"a file, not a directory").expect("a file");
    let mut lines = good(home.path());
    lines[1] = format!("log.dirs={}/file/data", home.path().display());
    let line = refused(&start_with(home.path(), &lines));
    assert!(line.contains("file/data"), "{line}");
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    if only_ottla() {
        return;
    }
    let home = home();
    let data = home.path().join("data");
    fs::create_dir_all(data.join("photos")).expect("a directory");
    fs::write(data.join("photos/one.jpg"), b"not a log").expect("a file");
    fs::write(data.join("notes.txt"), b"not a log either").expect("a file");
    let before = listing(&data);
    let line = refused(&start_with(home.path(), &good(home.path())));
    assert!(line.contains(&data.display().to_string()), "{line}");
    assert_eq!(listing(&data), before);
}

#[test]
fn the_directory_of_another_node_is_left_alone() {
    if only_ottla() {
        return;
    }
    let home = home();
    let data = home.path().join("data");
    fs::create_dir_all(&data).expect("a directory");
    let meta = "version=1\ncluster.id=5L6g3nShT-eMCtK--X86sw\nnode.id=7\ndirectory.id=AAAAAAAAAAAAAAAAAAAAZg\n";
    fs::write(data.join("meta.properties"), meta).expect("a file");
    let before = listing(&data);
    let mut lines = good(home.path());
    lines.push("node.id=3".to_owned());
    let line = refused(&start_with(home.path(), &lines));
    assert!(line.contains("node.id") && line.contains('7') && line.contains('3'), "{line}");
    assert_eq!(listing(&data), before);
}

#[test]
fn a_second_process_on_one_directory_is_refused_and_the_first_goes_on() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let home = home();
    let mut lines = good(home.path());
    lines[1] = format!("log.dirs={}", node.log_dir().display());
    let line = refused(&start_with(home.path(), &lines));
    assert!(line.contains(&node.log_dir().display().to_string()), "{line}");
    node.wire().create_topic("still-alive", 1, &[])
}

#[test]
fn a_bad_value_is_named_with_file_line_key_and_value() {
    if only_ottla() {
        return;
    }
    let cases = [
        ("num.partitions=many", "many"),
        ("num.partitions=0", "0"),
        ("log.cleanup.policy=shred", "shred"),
        ("log.segment.bytes=99999999999", "99999999999"),
        ("auto.create.topics.enable=perhaps", "perhaps"),
        ("compression.type=rar", "rar"),
    ];
    for (bad, value) in cases {
        let home = home();
        let mut lines = good(home.path());
        lines.push(bad.to_owned());
        let line = refused(&start_with(home.path(), &lines));
        let key = bad.split('=').next().expect("a key");
        assert!(line.contains("server.properties:4") && line.contains(key) && line.contains(value), "{line}");
        assert!(!home.path().join("data").exists(), "nothing was made");
    }
}

/// DESIGN.md, contract 2: a secured file never starts an open broker.
#[test]
fn keys_that_restrict_access_stop_the_start_and_are_named() {
    if only_ottla() {
        return;
    }
    let refused_keys = [
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "sasl.enabled.mechanisms=SCRAM-SHA-512",
        "ssl.keystore.location=/etc/keystore.jks",
        "ssl.client.auth=required",
        "create.topic.policy.class.name=com.example.Policy",
        "alter.config.policy.class.name=com.example.Policy",
        "client.quota.callback.class=com.example.Quota",
        "remote.log.storage.system.enable=true",
        "process.roles=controller",
    ];
    for entry in refused_keys {
        let home = home();
        let mut lines = good(home.path());
        lines.push(entry.to_owned());
        let line = refused(&start_with(home.path(), &lines));
        assert!(line.contains(entry.split('=').next().expect("a key")), "{line}");
        assert!(!home.path().join("data").exists(), "nothing was made");
    }
}

#[test]
fn secured_listeners_and_values_from_providers_stop_the_start() {
    if only_ottla() {
        return;
    }
    let home = home();
    let mut lines = good(home.path());
    lines[0] = format!("listeners=SASL_SSL://127.0.0.1:{}", free_port());
    let line = refused(&start_with(home.path(), &lines));
    assert!(line.contains("SASL_SSL"), "{line}");
    let mut lines = good(home.path());
    lines.push("num.partitions=${file:/etc/secret:partitions}".to_owned());
    let line = refused(&start_with(home.path(), &lines));
    assert!(line.contains("num.partitions"), "{line}");
}

#[test]
fn a_file_that_is_absent_is_named() {
    if only_ottla() {
        return;
    }
    let line = refused(&run_within(LIMIT, ottla(&["--config", "/absent/server.properties"]), b""));
    assert!(line.contains("/absent/server.properties"), "{line}");
}

#[test]
fn an_unknown_key_is_a_warning_that_names_it() {
    if only_ottla() {
        return;
    }
    let node = Node::with(&[("no.such.key", "1")]);
    assert!(node.output().contains("no.such.key"), "{}", node.output());
}

#[test]
fn version_help_and_config_are_shown() {
    if only_ottla() {
        return;
    }
    let version = run_within(LIMIT, ottla(&["--version"]), b"").ok();
    assert!(version.starts_with("ottla ") && version.contains(char::is_numeric), "{version}");
    let help = run_within(LIMIT, ottla(&["--help"]), b"").ok();
    for word in ["--config", "--set", "--version", "config"] {
        assert!(help.contains(word), "{help}");
    }
    let config = run_within(LIMIT, ottla(&["config", "--set", "num.partitions=6"]), b"").ok();
    for key in
        ["num.partitions", "log.retention.hours", "log.flush.before.ack", "admin.listeners", "message.max.bytes"]
    {
        assert!(config.contains(key), "{key}: {config}");
    }
    assert!(config.lines().any(|line| line.contains("num.partitions") && line.contains('6')), "{config}");
}

/// The file that Kafka's distribution carries, with other ports and another directory.
#[test]
fn kafkas_own_server_properties_starts() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let (port, controller_port) = (free_port(), free_port());
    let home = home();
    let text = include_str!("../../src/config/testdata/kafka-4.3-server.properties")
        .replace("PLAINTEXT://:9092,CONTROLLER://:9093", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093")
        .replace("9092", &port.to_string())
        .replace("9093", &controller_port.to_string())
        .replace("/tmp/kraft-combined-logs", &home.path().join("data").display().to_string());
    let file = home.path().join("server.properties");
    fs::write(&file, text)?;
    let mut child = ottla(&["--config", &file.display().to_string(), "--set", "admin.listeners="]).spawn()?;
    let served = std::panic::catch_unwind(|| {
        ottla_compat_tests::wait::eventually("the broker answers", || {
            Wire::connect(&format!("127.0.0.1:{port}")).ok()?.broker_ids().ok().filter(|ids| ids == &[1])
        });
        assert!(Wire::connect(&format!("127.0.0.1:{controller_port}")).is_err(), "no controller listener is opened");
    });
    child.kill()?;
    child.wait()?;
    served.map_err(|_| anyhow::anyhow!("not served"))
}

#[test]
fn a_directory_that_kafka_storage_formatted_keeps_its_ids() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let copy = |log_dir: &Path| {
        fs::create_dir_all(log_dir).expect("a directory");
        for file in fs::read_dir(formatted_template()).expect("the template").flatten() {
            fs::copy(file.path(), log_dir.join(file.file_name())).expect("a copy");
        }
    };
    let ids = |dir: &Path| -> Result<BTreeMap<String, String>> {
        let text = fs::read_to_string(dir.join("meta.properties"))?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    };
    let node = Node::on(copy, &[]);
    let request = kafka_protocol::messages::MetadataRequest::default().with_topics(Some(Vec::new()));
    let response = node.wire().call(12, &request)?;
    assert_eq!(response.cluster_id.context("a cluster id")?.as_str(), FORMATTED_CLUSTER_ID);
    assert_eq!(response.brokers[0].node_id.0, 1);
    let (before, after) = (ids(formatted_template())?, ids(node.log_dir())?);
    for key in ["cluster.id", "node.id", "directory.id", "version"] {
        assert_eq!(before.get(key), after.get(key), "{key}");
    }
    Ok(())
}

#[test]
fn sources_outrank_each_other_in_order() {
    if only_ottla() {
        return;
    }
    let home = home();
    let file = home.path().join("server.properties");
    fs::write(&file, "num.partitions=2\nnum.io.threads=9\nnum.network.threads=5\nlog.retention.ms=1000\n")
        .expect("a file");
    let mut command = ottla(&["config", "--config", &file.display().to_string(), "--set", "num.network.threads=7"]);
    command
        .env("OTTLA_NUM_IO_THREADS", "11")
        .env("OTTLA_NUM_NETWORK_THREADS", "6")
        .env("KAFKA_LOG_RETENTION_MS", "2000");
    command
        .env("KAFKA_HEAP_OPTS", "-Xmx1G")
        .env("KAFKA_JMX_PORT", "9999")
        .env("KAFKA_LOG4J_OPTS", "x")
        .env("KAFKA_OPTS", "y");
    let shown = run_within(LIMIT, command, b"").ok();
    for (key, value) in [
        ("num.partitions", "2"),
        ("num.io.threads", "11"),
        ("num.network.threads", "7"),
        ("log.retention.ms", "2000"),
    ] {
        let line =
            shown.lines().find(|line| line.trim_start().starts_with(key)).unwrap_or_else(|| panic!("{key}: {shown}"));
        assert!(line.contains(value), "{line}");
    }
}
