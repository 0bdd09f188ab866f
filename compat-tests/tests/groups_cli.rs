//! Kafka's own command line tools for consumer groups: reading in a group, consumer-groups, and the formatters that
//! print `__consumer_offsets`.

use ottla_compat_tests::Node;
use ottla_compat_tests::suite::QUICK_GROUPS;
use ottla_compat_tests::tool::{Ran, kafka_tool_at, run};
use ottla_compat_tests::wait::eventually;

const CONSOLE_CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/// A broker with a topic of two partitions and ten records in each.
fn node_with_records(topic: &str) -> Node {
    let node = Node::with(&QUICK_GROUPS);
    let mut wire = node.wire();
    wire.create_topic(topic, 2, &[]).expect("a topic");
    let batch = ottla_compat_tests::batch::Batch::of_values(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    for partition in 0..2 {
        wire.append(topic, partition, &batch.clone().encode()).expect("an append");
    }
    node
}

fn tool(node: &Node, class: &str, arguments: &[&str]) -> Ran {
    run(kafka_tool_at(&node.bootstrap(), class, arguments), b"")
}

/// Reads all twenty records in a group, and commits.
fn consume(node: &Node, topic: &str, group: &str, more: &[&str]) -> String {
    let from = ["--topic", topic, "--group", group, "--max-messages", "20", "--timeout-ms", "60000"];
    let earliest = ["--command-property", "auto.offset.reset=earliest"];
    tool(node, CONSOLE_CONSUMER, &[&from[..], &earliest, more].concat()).ok()
}

fn groups(node: &Node, arguments: &[&str]) -> Ran {
    tool(node, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", arguments)
}

/// The words of the line that begins with these words.
#[track_caller]
fn line<'a>(shown: &'a str, beginning: &[&str]) -> Vec<&'a str> {
    let mut lines = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.find(|words| words.starts_with(beginning)).unwrap_or_else(|| panic!("no line {beginning:?} in\n{shown}"))
}

/// Where the group stands in partition 0 and 1, as consumer-groups tells.
fn offsets(node: &Node, group: &str, topic: &str) -> [String; 2] {
    let shown = groups(node, &["--describe", "--group", group]).ok();
    ["0", "1"].map(|partition| line(&shown, &[group, topic, partition])[3].to_owned())
}

#[test]
fn a_group_is_read_described_reset_and_deleted() {
    let node = node_with_records("t");
    assert_eq!(consume(&node, "t", "g", &[]).lines().count(), 20);
    let shown = groups(&node, &["--describe", "--group", "g", "--offsets", "--verbose"]).ok();
    // Group, topic, partition, leader epoch, current offset, log end offset, lag.
    assert_eq!(line(&shown, &["g", "t", "1"])[3..7], ["0", "10", "10", "0"], "{shown}");

    let reset = ["--reset-offsets", "--group", "g", "--topic", "t", "--to-offset", "4", "--execute"];
    let shown = groups(&node, &reset).ok();
    assert_eq!(line(&shown, &["g", "t", "1"])[3], "4");
    assert_eq!(offsets(&node, "g", "t"), ["4", "4"]);

    let deleted = groups(&node, &["--delete", "--group", "g"]).ok();
    assert!(deleted.contains("Deletion of requested consumer groups ('g') was successful."), "{deleted}");
    let again = groups(&node, &["--delete", "--group", "g"]).ok();
    assert!(again.contains("GroupIdNotFoundException: The group id does not exist."), "{again}");
}

#[test]
#[ignore = "slow: make compat"]
fn offsets_are_reset_in_every_way() {
    let node = node_with_records("t");
    consume(&node, "t", "g", &[]);
    let reset = |arguments: &[&str]| {
        let words: Vec<_> = ["--reset-offsets", "--group", "g"].iter().chain(arguments).copied().collect();
        groups(&node, &words).ok()
    };
    for (how, expected) in [
        (&["--to-earliest"][..], "0"),
        (&["--to-latest"], "10"),
        (&["--to-offset", "5"], "5"),
        (&["--shift-by", "-2"], "3"),
        (&["--to-current"], "3"),
        (&["--shift-by", "100"], "10"),
        (&["--by-duration", "PT1H"], "0"),
        (&["--to-datetime", "2020-01-01T00:00:00.000"], "0"),
    ] {
        let shown = reset(&[&["--topic", "t", "--execute"], how].concat());
        assert_eq!(line(&shown, &["g", "t", "0"])[3], expected, "{how:?}: {shown}");
        assert_eq!(line(&shown, &["g", "t", "1"])[3], expected, "{how:?}: {shown}");
    }
    let plan = reset(&["--topic", "t:1", "--to-offset", "7", "--dry-run", "--export"]);
    assert_eq!(plan.trim(), "t,1,7");
    assert_eq!(offsets(&node, "g", "t"), ["0", "0"], "a dry run changes nothing");
    let file = node.scratch().join("plan.csv");
    std::fs::write(&file, plan.trim()).expect("a file");
    reset(&["--from-file", &file.display().to_string(), "--execute"]);
    assert_eq!(offsets(&node, "g", "t"), ["0", "7"]);

    let deleted = groups(&node, &["--delete-offsets", "--group", "g", "--topic", "t:0"]).ok();
    assert_eq!(line(&deleted, &["t", "0"])[2], "Successful");
    let shown = groups(&node, &["--describe", "--group", "g"]).ok();
    assert!(!shown.lines().any(|line| line.split_whitespace().take(3).eq(["g", "t", "0"])), "{shown}");
    assert_eq!(line(&shown, &["g", "t", "1"])[3], "7");
}

/// A console consumer that stays until it is dropped.
struct Staying(std::process::Child);

impl Staying {
    fn start(node: &Node, topic: &str, group: &str, more: &[&str]) -> Self {
        let arguments = [&["--topic", topic, "--group", group][..], more].concat();
        let mut command = kafka_tool_at(&node.bootstrap(), CONSOLE_CONSUMER, arguments);
        let quiet = std::process::Stdio::null;
        Self(command.stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().expect("a console consumer"))
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn shows_its_members(protocol: &str, group_type: &str, assignor: &str) {
    let node = node_with_records("t");
    let member = Staying::start(&node, "t", "g", &["--command-property", &format!("group.protocol={protocol}")]);
    let state = eventually("a stable group of one", || {
        let shown = groups(&node, &["--describe", "--group", "g", "--state"]).ok();
        shown.lines().any(|line| line.ends_with("Stable               1")).then_some(shown)
    });
    assert!(state.contains(&format!("(1)      {assignor}")), "{state}");
    let members = groups(&node, &["--describe", "--group", "g", "--members", "--verbose"]).ok();
    let words = members.lines().find(|line| line.starts_with("g ")).expect("a member").split_whitespace();
    let words: Vec<_> = words.collect();
    assert!(words[2].starts_with("/127.0.0.1") && words[3].starts_with("console-consumer"), "{members}");
    assert_eq!(words[4], "2", "{members}");
    assert!(words.contains(&"t:0,1") || members.contains("t:0,1"), "{members}");
    let listed = groups(&node, &["--list", "--state", "--type"]).ok();
    assert_eq!(line(&listed, &["g"])[1..], [group_type, "Stable"]);
    let refused = groups(&node, &["--delete", "--group", "g"]).ok();
    assert!(refused.contains("GroupNotEmptyException"), "{refused}");
    let reset = groups(&node, &["--reset-offsets", "--group", "g", "--topic", "t", "--to-earliest", "--execute"]);
    let told = format!("{reset}");
    assert!(told.contains("Assignments can only be reset if the group 'g' is inactive"), "{told}");
    drop(member);
}

#[test]
#[ignore = "slow: make compat"]
fn a_classic_group_shows_its_members() {
    shows_its_members("classic", "Classic", "range");
}

#[test]
#[ignore = "slow: make compat"]
fn a_consumer_group_shows_its_members() {
    shows_its_members("consumer", "Consumer", "uniform");
}

#[test]
#[ignore = "slow: make compat"]
fn all_groups_are_listed_and_described() {
    let node = node_with_records("t");
    consume(&node, "t", "one", &[]);
    consume(&node, "t", "two", &["--command-property", "group.protocol=consumer"]);
    let listed = tool(&node, "org.apache.kafka.tools.GroupsCommand", &["--list"]).ok();
    assert_eq!(line(&listed, &["one"])[1..], ["Classic", "consumer"], "{listed}");
    assert_eq!(line(&listed, &["two"])[1..], ["Consumer", "consumer"], "{listed}");
    let offsets = groups(&node, &["--describe", "--all-groups"]).ok();
    let states = groups(&node, &["--describe", "--all-groups", "--state"]).ok();
    for group in ["one", "two"] {
        for partition in ["0", "1"] {
            // Current offset, log end offset, lag.
            assert_eq!(line(&offsets, &[group, "t", partition])[3..6], ["10", "10", "0"], "{offsets}");
        }
        assert!(line(&states, &[group]).contains(&"Empty"), "{states}");
    }
}

#[test]
#[ignore = "slow: make compat"]
fn the_consumer_benchmark_and_the_verifiable_tools_run() {
    let node = node_with_records("t");
    let arguments = ["--topic", "t", "--group", "p", "--num-records", "20", "--timeout", "60000"];
    let shown = tool(&node, "org.apache.kafka.tools.ConsumerPerformance", &arguments).ok();
    let last: Vec<_> = shown.lines().last().expect("a line").split(", ").collect();
    assert_eq!(last[4], "20", "{shown}");

    let arguments = ["--topic", "v", "--max-messages", "50"];
    let shown = tool(&node, "org.apache.kafka.tools.VerifiableProducer", &arguments).ok();
    assert!(shown.contains(r#""name":"tool_data","sent":50,"acked":50"#), "{shown}");
    let arguments = ["--topic", "v", "--group-id", "v", "--max-messages", "50", "--reset-policy", "earliest"];
    let shown = tool(&node, "org.apache.kafka.tools.VerifiableConsumer", &arguments).ok();
    assert!(shown.contains(r#""offsets":[{"topic":"v","partition":0,"offset":50}],"success":true"#), "{shown}");

    let arguments = ["--topic", "l", "--num-records", "50", "--producer-acks", "all", "--record-size", "40"];
    let shown = tool(&node, "org.apache.kafka.tools.EndToEndLatency", &arguments).ok();
    assert!(shown.contains("Avg latency: ") && shown.contains("99.9th = "), "{shown}");
}

#[test]
#[ignore = "slow: make compat"]
fn the_formatters_read_the_offsets_topic() {
    let node = node_with_records("t");
    consume(&node, "t", "g", &[]);
    let printed = |formatter: &str| {
        let class = format!("org.apache.kafka.tools.consumer.{formatter}");
        let from = ["--topic", "__consumer_offsets", "--from-beginning", "--timeout-ms", "15000"];
        let shown = tool(&node, CONSOLE_CONSUMER, &[&from[..], &["--formatter", &class]].concat()).ok();
        // The formatters end no line.
        shown.replace(r#"}{"key""#, "}\n{\"key\"")
    };
    let offsets = printed("OffsetsMessageFormatter");
    let key = r#"{"key":{"type":1,"data":{"group":"g","topic":"t","partition":1}},"value":{"version":"#;
    assert!(offsets.lines().any(|line| line.starts_with(key) && line.contains(r#""offset":10,"#)), "{offsets}");
    let metadata = printed("GroupMetadataMessageFormatter");
    let key = r#"{"key":{"type":2,"data":{"group":"g"}},"value":{"version":"#;
    let stable = |line: &&str| line.starts_with(key) && line.contains(r#""clientId":"console-consumer""#);
    assert!(metadata.lines().any(|line| stable(&line)), "{metadata}");
    assert!(metadata.lines().any(|line| line.starts_with(key) && line.contains(r#""members":[]"#)), "{metadata}");
}
