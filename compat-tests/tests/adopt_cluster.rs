//! One node of a Kafka cluster with several is taken over: what it held in sync, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::librdkafka::{Read, Sender, read_all};
use ottla_compat_tests::tool::{kafka_tool, run};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::name;
use ottla_compat_tests::{FORMATTED_CLUSTER_ID, Node, Peer, formatted_template, only_ottla, ottla};
use serde_json::Value;

const SHARED: i32 = 4;
const RECORDS: usize = 400;
/// What every node is started with: small steps, so that a slowed copy is seen half way.
const SETTINGS: [(&str, &str); 4] = [
    ("log.dirs", "{home}/data,{home}/more"),
    ("replica.fetch.max.bytes", "20000"),
    ("offsets.topic.num.partitions", "3"),
    ("default.replication.factor", "3"),
];

/// As `kafka-storage format` would have: each directory is another.
fn format(log_dir: &Path, node: i32) {
    for (at, path) in [log_dir.to_owned(), log_dir.with_file_name("more")].iter().enumerate() {
        fs::create_dir_all(path).expect("a directory");
        if node == 1 && at == 0 {
            let bootstrap = formatted_template().join("bootstrap.checkpoint");
            fs::copy(bootstrap, path.join("bootstrap.checkpoint")).expect("a copy of the template");
        }
        let id = ["AAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBB"][at];
        let meta =
            format!("version=1\ncluster.id={FORMATTED_CLUSTER_ID}\nnode.id={node}\ndirectory.id={id}{node}w\n");
        fs::write(path.join("meta.properties"), meta).expect("a file");
    }
}

/// Node 1 is the controller too; 2 and 3 are brokers alone.
fn cluster() -> [Node; 3] {
    let first = Node::of(Peer::Kafka, |log_dir| format(log_dir, 1), &SETTINGS);
    let voters = format!("1@{}", first.admin_address());
    let broker = |id: i32| {
        let id_text = id.to_string();
        let own = [("node.id", &*id_text), ("process.roles", "broker"), ("controller.quorum.voters", &*voters)];
        Node::of(Peer::Kafka, move |log_dir| format(log_dir, id), &[&SETTINGS[..], &own].concat())
    };
    let (second, third) = (broker(2), broker(3));
    eventually("all brokers are registered", || (first.wire().broker_ids().ok()?.len() == 3).then_some(()));
    [first, second, third]
}

/// A topic whose partitions have these replicas.
fn create(node: &Node, topic: &str, replicas: &[&[i32]]) -> Result<()> {
    let assignment = |(partition, replicas): (usize, &&[i32])| {
        let brokers = replicas.iter().map(|id| (*id).into()).collect();
        CreatableReplicaAssignment::default().with_partition_index(partition as i32).with_broker_ids(brokers)
    };
    let topic = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(replicas.iter().enumerate().map(assignment).collect());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let result = node.wire().call(7, &request)?.topics.remove(0);
    ensure!(result.error_code == 0, "error {} {:?}", result.error_code, result.error_message);
    Ok(())
}

fn send(node: &Node, topic: &str, partitions: i32) {
    let sender = Sender::new(&node.bootstrap(), &[("batch.size", "10000")]);
    for n in 0..RECORDS {
        sender.send(topic, Some(n as i32 % partitions), &n.to_string(), "v".repeat(1000).as_bytes());
    }
    sender.finish_ok();
}

/// kafka-reassign-partitions, so slow that it never comes to its end.
fn reassign(node: &Node, topic: &str, replicas: &str, log_dirs: &str) -> Result<()> {
    let plan = node.scratch().join(format!("{topic}.json"));
    let text = format!(
        r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":0,"replicas":{replicas},"log_dirs":{log_dirs}}}]}}"#
    );
    fs::write(&plan, text)?;
    let (bootstrap, plan) = (node.bootstrap(), plan.display().to_string());
    let server = ["--bootstrap-server", &bootstrap, "--execute", "--reassignment-json-file", &plan];
    let slow = ["--additional", "--throttle", "1", "--replica-alter-log-dirs-throttle", "1"];
    let class = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    run(kafka_tool(class, server.iter().chain(&slow)), b"").ok();
    Ok(())
}

fn directories(node: &Node) -> [PathBuf; 2] {
    [node.log_dir().to_owned(), node.log_dir().with_file_name("more")]
}

/// Folders in the node's directories whose names begin and end so.
fn folders(node: &Node, begin: &str, end: &str) -> Vec<PathBuf> {
    let entries = directories(node).into_iter().flat_map(|path| fs::read_dir(path).expect("a directory").flatten());
    let named = entries.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(begin) && name.ends_with(end)
    });
    named.map(|entry| entry.path()).collect()
}

fn isr(node: &Node, topic: &str) -> Option<Vec<i32>> {
    let found = node.wire().topic(topic).ok()?.topics.remove(0).partitions.into_iter().next()?;
    Some(found.isr_nodes.iter().map(|id| id.0).collect())
}

fn read_shared(node: &Node) -> BTreeMap<i32, Vec<Read>> {
    eventually("the partitions are led", || {
        let partitions = node.wire().topic("shared").ok()?.topics.remove(0).partitions;
        let led = partitions.iter().filter(|partition| partition.error_code == 0).count();
        (led == SHARED as usize).then_some(())
    });
    (0..SHARED).map(|partition| (partition, read_all(&node.bootstrap(), "shared", partition))).collect()
}

/// Of `left_out`: what, and why.
fn reason(report: &Value, what: &str) -> String {
    let left = report["left_out"].as_array().expect("a list");
    let found = left.iter().find(|left| left["what"].as_str().is_some_and(|name| name.contains(what)));
    found.unwrap_or_else(|| panic!("{what}: {report:#}"))["reason"].as_str().expect("a reason").to_owned()
}

#[test]
#[ignore = "slow: make compat"]
fn a_node_of_a_cluster_takes_over_what_it_held_in_sync() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let [mut node, mut second, mut third] = cluster();
    create(&node, "shared", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2], &[2, 1, 3]])?;
    create(&node, "elsewhere", &[&[2, 3]])?;
    create(&node, "behind", &[&[3]])?;
    create(&node, "moving", &[&[1]])?;
    create(&node, "dropped", &[&[1]])?;
    send(&node, "shared", SHARED);
    for topic in ["elsewhere", "behind", "moving", "dropped"] {
        send(&node, topic, 1);
    }
    let before = read_shared(&node);
    reassign(&node, "behind", "[3,1]", r#"["any","any"]"#)?;
    let from = folders(&node, "moving-0", "").remove(0);
    let to = directories(&node).into_iter().find(|path| !from.starts_with(path)).expect("another directory");
    reassign(&node, "moving", "[1]", &format!(r#"["{}"]"#, to.display()))?;
    node.wire().delete_topic("dropped")?;
    eventually("the copies are begun", || {
        let begun = |begin, end| !folders(&node, begin, end).is_empty();
        (begun("behind-0", "") && begun("moving-0.", "-future") && begun("dropped-0.", "-delete")).then_some(())
    });
    assert_eq!(isr(&node, "behind"), Some(vec![3]), "the copy is slow");
    let stray = node.log_dir().join("ghost-0.0123456789abcdef0123456789abcdef-stray");
    fs::create_dir(&stray)?;
    third.terminate();
    second.terminate();
    eventually("node 1 is alone in sync", || (isr(&node, "shared")? == [1]).then_some(()));
    node.terminate();

    let mut command = ottla();
    command.args(["adopt", "--dry-run", "--json", "--config"]).arg(node.properties_file());
    let report: Value = serde_json::from_str(&run(command, b"").ok())?;
    assert_eq!(reason(&report, "partition elsewhere-0"), "its replicas are on other nodes: [2, 3]");
    assert!(reason(&report, "partition behind-0").starts_with("this node was not in sync"), "{report:#}");
    assert!(reason(&report, "-delete").contains("deleted topic"));
    assert!(reason(&report, "-future").contains("goes on moving later"));
    assert!(reason(&report, "-stray").contains("set aside"));
    let taken = |topic: &str| {
        let topics = report["topics"].as_array().unwrap().iter().find(|found| found["name"] == topic).unwrap();
        topics["taken_over"].as_array().unwrap().len() as i32
    };
    assert_eq!((taken("shared"), taken("moving"), taken("elsewhere"), taken("behind")), (SHARED, 1, 0, 0));

    node.hand_over_to(Peer::Ottla);
    node.run();
    assert_eq!(read_shared(&node), before);
    assert_eq!(read_all(&node.bootstrap(), "moving", 0).len(), RECORDS);
    assert_eq!(isr(&node, "elsewhere"), Some(vec![]), "known, and served by nobody");
    node.terminate();
    assert!(node.log_dir().join(".kafka_cleanshutdown").exists());

    // Back to the cluster, and over again.
    for node in [&mut node, &mut second, &mut third] {
        node.hand_over_to(Peer::Kafka);
        node.run();
    }
    assert_eq!(read_shared(&node), before);
    eventually("the slow copy is there again", || isr(&node, "behind"));
    third.terminate();
    second.terminate();
    eventually("node 1 is alone in sync", || (isr(&node, "shared")? == [1]).then_some(()));
    node.terminate();

    node.hand_over_to(Peer::Ottla);
    node.run();
    let end = before[&0].len() as i64;
    assert_eq!(node.wire().append("shared", 0, &Batch::of_values(&["more"]).encode())?, end);
    // What this node held out of sync is no beginning for a topic of the same name.
    node.wire().delete_topic("behind")?;
    node.wire().create_topic("behind", 1, &[])?;
    assert_eq!(node.wire().append("behind", 0, &Batch::of_values(&["new"]).encode())?, 0);
    node.kill_and_restart();
    assert_eq!(read_all(&node.bootstrap(), "behind", 0).len(), 1);
    // The copy goes on as slowly as it was told to, until it is told otherwise.
    let (bootstrap, slow) = (node.bootstrap(), "replica.alter.log.dirs.io.max.bytes.per.second");
    let server = ["--bootstrap-server", &bootstrap, "--alter", "--delete-config", slow];
    let faster = server.iter().chain(&["--entity-type", "brokers", "--entity-name", "1"]);
    run(kafka_tool("kafka.admin.ConfigCommand", faster), b"").ok();
    eventually("the copy has come to its end", || folders(&node, "moving-0.", "-future").is_empty().then_some(()));
    assert_eq!(read_all(&node.bootstrap(), "moving", 0).len(), RECORDS);
    eventually("what was deleted goes", || folders(&node, "dropped-0.", "-delete").is_empty().then_some(()));
    assert!(stray.exists(), "what was set aside stays");
    assert_eq!(read_shared(&node)[&0].len() as i64, end + 1);
    Ok(())
}
