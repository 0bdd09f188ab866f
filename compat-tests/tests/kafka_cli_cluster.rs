//! Kafka's own command line tools for the cluster: elections, reassignments, the quorum, features, producers.

use std::fs;

use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::tool::{Ran, kafka_tool, run};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::{Node, Peer, only_ottla};

fn tool(node: &Node, class: &str, arguments: &[&str]) -> Ran {
    let bootstrap = node.bootstrap();
    let server = ["--bootstrap-server", &bootstrap];
    run(kafka_tool(&format!("org.apache.kafka.tools.{class}"), server.iter().chain(arguments)), b"")
}

/// As [`tool`], for those that take a subcommand first.
fn subcommand(node: &Node, class: &str, arguments: &[&str]) -> Ran {
    let bootstrap = node.bootstrap();
    let (first, rest) = arguments.split_first().expect("a subcommand");
    let all = [&[*first, "--bootstrap-server", &bootstrap][..], rest].concat();
    run(kafka_tool(&format!("org.apache.kafka.tools.{class}"), all), b"")
}

fn with_topic() -> Node {
    let node = Node::start();
    node.wire().create_topic("cli", 2, &[]).expect("a topic");
    node
}

#[test]
fn leader_election_finds_nothing_to_do() {
    let node = with_topic();
    let all = ["--election-type", "PREFERRED", "--all-topic-partitions"];
    assert_eq!(tool(&node, "LeaderElectionCommand", &all).ok().trim(), "");
    let one = ["--election-type", "UNCLEAN", "--topic", "cli", "--partition", "0"];
    let shown = tool(&node, "LeaderElectionCommand", &one).ok();
    assert!(shown.contains("Valid replica already elected for partitions cli-0"), "{shown}");
    let absent = ["--election-type", "PREFERRED", "--topic", "cli", "--partition", "7"];
    let shown = tool(&node, "LeaderElectionCommand", &absent).fails();
    assert!(shown.contains("UnknownTopicOrPartitionException"), "{shown}");
}

#[test]
fn reassignments_are_generated_executed_verified_cancelled_and_listed() {
    let node = with_topic();
    let reassign = |arguments: &[&str]| tool(&node, "reassign.ReassignPartitionsCommand", arguments);
    let file = |name: &str, text: &str| {
        let path = node.scratch().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let topics = file("topics.json", r#"{"topics":[{"topic":"cli"}],"version":1}"#);
    let shown = reassign(&["--generate", "--topics-to-move-json-file", &topics, "--broker-list", "1"]).ok();
    let proposed = shown.split("Proposed partition reassignment configuration").nth(1).expect("a proposal").trim();
    assert!(proposed.contains(r#""partition":1,"replicas":[1],"log_dirs":["any"]"#), "{shown}");
    let plan = file("plan.json", proposed);
    let shown = reassign(&["--execute", "--reassignment-json-file", &plan]).ok();
    assert!(shown.contains("Successfully started partition reassignments for cli-0,cli-1"), "{shown}");
    let shown = reassign(&["--verify", "--reassignment-json-file", &plan]).ok();
    assert!(shown.contains("Reassignment of partition cli-1 is completed."), "{shown}");
    let shown = reassign(&["--cancel", "--reassignment-json-file", &plan]).ok();
    assert!(shown.contains("None of the specified partition reassignments are active."), "{shown}");
    let shown = reassign(&["--list"]).ok();
    assert!(shown.contains("No partition reassignments found."), "{shown}");
}

/// The words of a row that begins with `first`.
fn row<'a>(shown: &'a str, first: &str) -> Vec<&'a str> {
    let line = shown.lines().find(|line| line.split_whitespace().next() == Some(first));
    line.unwrap_or_else(|| panic!("no row {first}: {shown}")).split_whitespace().collect()
}

#[test]
fn the_quorum_is_described() {
    let node = with_topic();
    let shown = tool(&node, "MetadataQuorumCommand", &["describe", "--status"]).ok();
    assert_eq!(row(&shown, "LeaderId:")[1], "1");
    assert_eq!(row(&shown, "ClusterId:")[1].len(), 22);
    assert!(row(&shown, "LeaderEpoch:")[1].parse::<i32>().expect("a number") > 0);
    assert!(row(&shown, "HighWatermark:")[1].parse::<i64>().expect("a number") > 0);
    assert_eq!((row(&shown, "MaxFollowerLag:")[1], row(&shown, "CurrentObservers:")[1]), ("0", "[]"));
    let voters = row(&shown, "CurrentVoters:").join(" ");
    assert!(voters.contains(r#"{"id": 1"#) && voters.contains("127.0.0.1:"), "{voters}");
    let shown = tool(&node, "MetadataQuorumCommand", &["describe", "--replication"]).ok();
    let leader = row(&shown, "1");
    assert_eq!((leader[3], leader.last()), ("0", Some(&"Leader")), "{shown}");
}

#[test]
fn features_are_described_and_changed_within_their_levels() {
    let node = with_topic();
    let features = |arguments: &[&str]| tool(&node, "FeatureCommand", arguments);
    let shown = features(&["describe"]).ok();
    let metadata = shown.lines().find(|line| line.contains("metadata.version")).expect("a feature");
    for word in ["3.3-IV3", "SupportedMaxVersion: 4.3-IV0", "FinalizedVersionLevel: 4.3-IV0", "Epoch: "] {
        assert!(metadata.contains(word), "{word}: {shown}");
    }
    let shown = features(&["upgrade", "--feature", "metadata.version=30"]).ok();
    assert!(shown.contains("metadata.version was upgraded to 30."), "{shown}");
    let shown = features(&["downgrade", "--feature", "metadata.version=29"]).fails();
    assert!(shown.contains("Could not downgrade metadata.version to 29."), "{shown}");
    let shown = features(&["disable", "--feature", "no.version"]).fails();
    assert!(shown.contains("Feature no.version not found."), "{shown}");
}

/// Where the build has a feature that may be off.
#[test]
fn features_are_switched_off_and_on() {
    let node = with_topic();
    let features = |arguments: &[&str]| tool(&node, "FeatureCommand", arguments);
    if !features(&["describe"]).ok().contains("group.version") {
        assert_eq!(Peer::chosen(), Peer::Ottla, "Kafka has it");
        return;
    }
    let shown = features(&["disable", "--feature", "group.version"]).ok();
    assert!(shown.contains("group.version was disabled."), "{shown}");
    let shown = features(&["upgrade", "--feature", "group.version=1", "--dry-run"]).ok();
    assert!(shown.contains("group.version can be upgraded to 1."), "{shown}");
    let shown = features(&["upgrade", "--feature", "group.version=1"]).ok();
    assert!(shown.contains("group.version was upgraded to 1."), "{shown}");
}

#[test]
fn the_cluster_lists_its_endpoints_and_forgets_no_broker_that_is_not_there() {
    let node = with_topic();
    let shown = subcommand(&node, "ClusterTool", &["cluster-id"]).ok();
    assert!(shown.contains("Cluster ID: "), "{shown}");
    let shown = subcommand(&node, "ClusterTool", &["list-endpoints"]).ok();
    assert_eq!(row(&shown, "1")[1..3], ["127.0.0.1", &node.port().to_string()]);
    let shown = subcommand(&node, "ClusterTool", &["unregister", "--id", "7"]).fails();
    assert!(shown.contains("Broker ID 7 is not currently registered"), "{shown}");
}

/// Kafka's broker would be of no more use.
#[test]
fn a_broker_that_is_unregistered_comes_back() {
    if only_ottla() {
        return;
    }
    let node = with_topic();
    let shown = subcommand(&node, "ClusterTool", &["unregister", "--id", "1"]).ok();
    assert!(shown.contains("Broker 1 is no longer registered."), "{shown}");
    eventually("it is back", || (node.wire().broker_ids().ok()? == [1]).then_some(()));
    node.wire().append("cli", 0, &Batch::of_values(&["a"]).encode()).expect("an append");
}

#[test]
fn producers_of_a_partition_are_described_and_none_hangs() {
    let node = with_topic();
    let mut wire = node.wire();
    let (id, epoch) = wire.new_producer().expect("a producer id");
    let batch = Batch::of_values(&["a", "b"]).from_producer(id, epoch, 0);
    wire.append("cli", 1, &batch.encode()).expect("an append");
    let transactions = |arguments: &[&str]| tool(&node, "TransactionsCommand", arguments).ok();
    let shown = transactions(&["describe-producers", "--topic", "cli", "--partition", "1"]);
    let producer = row(&shown, &id.to_string());
    assert_eq!(producer[1..4], [&*epoch.to_string(), "-1", "1"], "{shown}");
    assert_eq!(producer[5], "None", "{shown}");
    let shown = transactions(&["find-hanging", "--broker-id", "1"]);
    assert_eq!(shown.trim().lines().count(), 1, "the heading alone: {shown}");
}
