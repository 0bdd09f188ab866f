//! Logs with messages of formats v0 and v1, which Kafka wrote before 0.11 and keeps for as long as they are retained:
//! their topics are refused by name, the rest is taken over, and not a byte of them is touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::librdkafka::Sender;
use ottla_compat_tests::tool::{Ran, kafka_tool_at, run};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::{Node, Peer, only_ottla, ottla};
use serde_json::Value;

const KAFKA: Peer = Peer::OldKafka { version: "2.8.2", zookeeper: true };
const LEADER_NOT_AVAILABLE: i16 = 5;
/// Topics with their message format, and what else they are.
const TOPICS: [(&str, &str, &str); 4] = [
    ("v0", "0.9.0", "delete"),
    ("v1", "0.10.0", "delete"),
    ("table", "0.10.0", "compact"),
    ("modern", "2.8", "delete"),
];
const RECORDS: usize = 100;
/// What the old formats know of codecs.
const CODECS: [&str; 4] = ["none", "gzip", "snappy", "lz4"];

fn magic_of_first(log: &Path) -> u8 {
    fs::read(log).expect("a log")[16]
}

fn fill(node: &Node) -> Result<()> {
    for (topic, format, policy) in TOPICS {
        let settings = [("message.format.version", format), ("cleanup.policy", policy), ("segment.bytes", "1048576")];
        node.wire().create_topic(topic, 1, &settings)?;
    }
    for codec in CODECS {
        let sender = Sender::new(&node.bootstrap(), &[("compression.codec", codec), ("linger.ms", "50")]);
        for n in 0..RECORDS {
            for (topic, ..) in TOPICS {
                let value = format!("{codec} {n} {}", "x".repeat(100));
                sender.send(topic, Some(0), &format!("key {}", n % 10), value.as_bytes());
            }
        }
        sender.finish_ok();
    }
    Ok(())
}

/// What the Java client prints of every topic, without a group: a member that joins would be a first write.
fn read_topics(node: &Node) -> BTreeMap<&'static str, String> {
    TOPICS.map(|(topic, ..)| (topic, read_topic(node, topic))).into()
}

fn read_topic(node: &Node, topic: &str) -> String {
    let records = (CODECS.len() * RECORDS).to_string();
    let mut arguments = vec![
        "--topic",
        topic,
        "--partition",
        "0",
        "--offset",
        "earliest",
        "--max-messages",
        &records,
        "--timeout-ms",
        "60000",
    ];
    for property in ["print.offset=true", "print.timestamp=true", "print.key=true"] {
        arguments.extend(["--formatter-property", property]);
    }
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    run(kafka_tool_at(&node.bootstrap(), class, arguments), b"").ok()
}

fn log(node: &Node, topic: &str) -> PathBuf {
    node.partition_dir(topic, 0).join("00000000000000000000.log")
}

fn ottla_on(node: &Node, arguments: &[&str]) -> Ran {
    let mut command = ottla();
    command.args(arguments).arg("--config").arg(node.properties_file());
    run(command, b"")
}

/// The topic is known, and nobody serves its partition.
#[track_caller]
fn is_refused(node: &Node, topic: &str) -> Result<()> {
    let found = node.wire().topic(topic)?.topics.remove(0);
    assert_eq!((found.error_code, found.partitions.len()), (0, 1), "{topic} is known");
    let partition = &found.partitions[0];
    assert_eq!((partition.error_code, partition.leader_id.0), (LEADER_NOT_AVAILABLE, -1), "{topic}");
    Ok(())
}

fn check(node: &Node, options: &[&str], code: i32) -> Value {
    let mut command = ottla();
    command.arg("check").arg(node.log_dir()).arg("--json").args(options);
    let ran = run(command, b"");
    assert_eq!(ran.status.code(), Some(code), "{ran}");
    serde_json::from_str(&ran.stdout).expect("one JSON document")
}

/// The levels and messages of findings in a topic's folder.
fn found_in(report: &Value, list: &str, topic: &str) -> Vec<(String, String)> {
    let of = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let all = report[list].as_array().expect("findings").iter();
    all.filter(|finding| finding["topic"] == topic)
        .map(|finding| (of(finding, "level"), of(finding, "kind")))
        .collect()
}

/// `ottla check` knows the formats, finds what is wrong in them, and cuts nothing.
fn checked(node: &Node) -> Result<()> {
    let report = check(node, &[], 0);
    for (topic, format, _) in TOPICS {
        let expected = if format == "2.8" { vec![] } else { vec![("note".to_owned(), "old-format".to_owned())] };
        assert_eq!(found_in(&report, "findings", topic), expected, "{report}");
    }
    for topic in ["v0", "v1", "table"] {
        let path = log(node, topic);
        let sound = fs::read(&path)?;
        let mut rotten = sound.clone();
        let middle = sound.len() / 2;
        rotten[middle] ^= 4;
        fs::write(&path, &rotten)?;
        let report = check(node, &["--repair"], 1);
        let mut remaining = report["remaining"].as_array().unwrap().iter();
        let finding = remaining.find(|finding| finding["level"] == "damage").expect("damage");
        assert_eq!(finding["path"].as_str(), path.to_str(), "{report}");
        let (from, bytes) = (finding["position"].as_u64().unwrap(), finding["bytes"].as_u64().unwrap());
        assert!((from..from + bytes).contains(&(middle as u64)), "{finding}");
        assert!(bytes < sound.len() as u64 / 2, "what follows is sound: {finding}");
        assert!(report["repairs"][0].as_str().unwrap().contains("its damage stays"), "{report}");
        assert_eq!(fs::read(&path)?, rotten, "nothing is cut");
        fs::write(&path, &sound)?;
    }
    check(node, &["--repair"], 0);
    Ok(())
}

#[test]
#[ignore = "slow: make compat"]
fn old_message_formats_are_refused_by_name_and_kept() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = Node::of(KAFKA, |_| (), &[]);
    fill(&node)?;
    let before = read_topics(&node);
    assert!(before.values().all(|records| records.lines().count() == CODECS.len() * RECORDS), "{before:?}");
    node.terminate();
    let magics = TOPICS.map(|(topic, ..)| magic_of_first(&log(&node, topic)));
    assert_eq!(magics, [0, 1, 1, 2], "Kafka has written what it was told to");

    let report: Value = serde_json::from_str(&ottla_on(&node, &["adopt", "--dry-run", "--json"]).ok())?;
    let text = |left: &Value, field: &str| left[field].as_str().unwrap_or_default().to_owned();
    let left = report["left_out"].as_array().unwrap().iter();
    let left: BTreeMap<_, _> = left.map(|left| (text(left, "what"), text(left, "reason"))).collect();
    let named = |topic: &str, format| {
        let reason = format!("00000000000000000000.log has batches of message format v{format}");
        (format!("partition {topic}-0"), reason)
    };
    assert_eq!(left, BTreeMap::from([named("v0", 0), named("v1", 1), named("table", 1)]), "{report:#}");
    checked(&node)?;

    // Looked at, and given back.
    node.hand_over_to(Peer::Ottla);
    node.run();
    assert_eq!(read_topic(&node, "modern"), before["modern"]);
    for topic in ["v0", "v1", "table"] {
        is_refused(&node, topic)?;
        assert!(node.output().contains(&format!("not taken over: partition {topic}-0")), "{}", node.output());
    }
    node.terminate();
    node.hand_over_to(KAFKA);
    node.run();
    let shown = kafka_tool_at(&node.bootstrap(), "org.apache.kafka.tools.TopicCommand", ["--describe"]);
    assert!(run(shown, b"").ok().contains("Topic: v1"));
    assert_eq!(read_topics(&node), before);
    node.terminate();

    // Written to: the refused topics stay where they are, over deletions, crashes and topics of the same name.
    let kept = ["v1", "table"].map(|topic| fs::read(log(&node, topic)).expect("a log"));
    let v0 = fs::read(log(&node, "v0"))?;
    node.hand_over_to(Peer::Ottla);
    node.run();
    let batch = Batch::of_values(&["new"]).encode();
    assert_eq!(node.wire().append("modern", 0, &batch)? as usize, CODECS.len() * RECORDS);
    node.wire().delete_topic("v0")?;
    node.wire().create_topic("v0", 1, &[])?;
    assert_eq!(node.wire().append("v0", 0, &batch)?, 0, "a new topic begins empty");
    node.wire().delete_topic("table")?;
    node.kill_and_restart();
    eventually("the topics are served", || (node.wire().list_offset("v0", 0, -1).ok()?.offset == 1).then_some(()));
    assert_eq!(read_topic(&node, "modern"), before["modern"]);
    is_refused(&node, "v1")?;
    node.terminate();
    let found = |content: &[u8]| {
        let folders = fs::read_dir(node.log_dir()).expect("a directory").flatten().map(|entry| entry.path());
        let logs = folders.map(|folder| folder.join("00000000000000000000.log"));
        logs.into_iter().find(|log| fs::read(log).is_ok_and(|found| found == content))
    };
    assert_eq!(found(&kept[0]), Some(log(&node, "v1")));
    assert!(found(&kept[1]).is_some(), "the records of a deleted topic that was never served");
    let aside = found(&v0).expect("the old records").display().to_string();
    assert!(aside.contains("-stray/"), "{aside}");
    check(&node, &[], 0);
    Ok(())
}
