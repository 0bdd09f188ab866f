//! Kafka's own command line tools, as their scripts start them.

use ottla_compat_tests::Node;
use ottla_compat_tests::tool::{Ran, kafka_tool, run};
use ottla_compat_tests::wait::eventually;

fn tool(node: &Node, class: &str, arguments: &[&str], input: &str) -> Ran {
    let bootstrap = node.bootstrap();
    let server = ["--bootstrap-server", &bootstrap];
    run(kafka_tool(class, server.iter().chain(arguments)), input.as_bytes())
}

fn topics(node: &Node, arguments: &[&str]) -> Ran {
    tool(node, "org.apache.kafka.tools.TopicCommand", arguments, "")
}

fn configs(node: &Node, arguments: &[&str]) -> String {
    tool(node, "kafka.admin.ConfigCommand", arguments, "").ok()
}

fn console_producer(node: &Node, arguments: &[&str], input: &str) {
    tool(node, "org.apache.kafka.tools.ConsoleProducer", arguments, input).ok();
}

fn console_consumer(node: &Node, arguments: &[&str]) -> String {
    tool(node, "org.apache.kafka.tools.consumer.ConsoleConsumer", arguments, "").ok()
}

#[test]
fn topics_are_created_described_grown_listed_and_deleted() {
    let node = Node::start();
    let made =
        topics(&node, &["--create", "--topic", "cli", "--partitions", "2", "--config", "retention.ms=5000"]).ok();
    assert!(made.contains("Created topic cli."), "{made}");
    let shown = topics(&node, &["--describe", "--topic", "cli"]).ok();
    assert!(shown.contains("PartitionCount: 2") && shown.contains("ReplicationFactor: 1"), "{shown}");
    assert!(shown.contains("retention.ms=5000"), "{shown}");
    assert!(shown.contains("Partition: 1") && shown.contains("Leader: 1") && shown.contains("Isr: 1"), "{shown}");
    topics(&node, &["--alter", "--topic", "cli", "--partitions", "4"]).ok();
    eventually("four partitions", || (node.wire().topic("cli").ok()?.topics[0].partitions.len() == 4).then_some(()));
    assert_eq!(topics(&node, &["--list"]).ok().trim(), "cli");
    topics(&node, &["--delete", "--topic", "cli"]).ok();
    eventually("no topic", || (node.wire().topic("cli").ok()?.topics[0].error_code == 3).then_some(()));
    let again = topics(&node, &["--describe", "--topic", "cli"]).fails();
    assert!(again.contains("does not exist"), "{again}");
}

#[test]
fn the_console_tools_write_and_read_by_partition_and_offset() {
    let node = Node::start();
    node.wire().create_topic("console", 1, &[]).expect("a topic");
    let lines = "k1:first\nk2:second\nk3:third\n";
    let keyed = ["--topic", "console", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"];
    console_producer(&node, &[&keyed[..], &["--compression-codec", "zstd"]].concat(), lines);
    let from = ["--topic", "console", "--partition", "0", "--timeout-ms", "20000"];
    let printed = [
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "print.offset=true",
        "--formatter-property",
        "print.partition=true",
    ];
    let all =
        console_consumer(&node, &[&from[..], &["--offset", "earliest", "--max-messages", "3"], &printed].concat());
    let expected =
        "Partition:0\tOffset:0\tk1\tfirst\nPartition:0\tOffset:1\tk2\tsecond\nPartition:0\tOffset:2\tk3\tthird\n";
    assert_eq!(all, expected);
    let last = console_consumer(&node, &[&from[..], &["--offset", "2", "--max-messages", "1"]].concat());
    assert_eq!(last, "third\n");
}

#[test]
fn the_producer_benchmark_runs() {
    let node = Node::start();
    node.wire().create_topic("perf", 3, &[]).expect("a topic");
    let bootstrap = format!("bootstrap.servers={}", node.bootstrap());
    let arguments = [
        "--topic",
        "perf",
        "--num-records",
        "20000",
        "--record-size",
        "100",
        "--throughput",
        "-1",
        "--producer-props",
        &bootstrap,
        "acks=all",
    ];
    let shown = run(kafka_tool("org.apache.kafka.tools.ProducerPerformance", arguments), b"").ok();
    assert!(shown.contains("20000 records sent"), "{shown}");
    let mut wire = node.wire();
    let ends: i64 = (0..3).map(|partition| wire.list_offset("perf", partition, -1).expect("an offset").offset).sum();
    assert_eq!(ends, 20_000);
}

#[test]
#[ignore = "slow: make compat"]
fn configs_of_topics_and_brokers_are_altered_and_described() {
    let node = Node::start();
    node.wire().create_topic("configured", 1, &[]).expect("a topic");
    let topic = ["--entity-type", "topics", "--entity-name", "configured"];
    configs(
        &node,
        &[&topic[..], &["--alter", "--add-config", "retention.ms=1234,cleanup.policy=[compact,delete]"]].concat(),
    );
    let shown = eventually("the change shows", || {
        let shown = configs(&node, &[&topic[..], &["--describe"]].concat());
        shown.contains("retention.ms=1234").then_some(shown)
    });
    assert!(shown.contains("cleanup.policy=compact,delete"), "{shown}");
    assert!(shown.contains("DYNAMIC_TOPIC_CONFIG:retention.ms=1234"), "{shown}");
    configs(&node, &[&topic[..], &["--alter", "--delete-config", "retention.ms"]].concat());
    let all = configs(&node, &[&topic[..], &["--describe", "--all"]].concat());
    assert!(all.contains("retention.ms=604800000") && all.contains("min.insync.replicas=1"), "{all}");

    configs(
        &node,
        &["--entity-type", "brokers", "--entity-default", "--alter", "--add-config", "log.retention.ms=99999"],
    );
    let shown = configs(&node, &["--entity-type", "brokers", "--entity-default", "--describe"]);
    assert!(shown.contains("log.retention.ms=99999"), "{shown}");
    configs(
        &node,
        &["--entity-type", "brokers", "--entity-name", "1", "--alter", "--add-config", "log.retention.ms=88888"],
    );
    let shown = configs(&node, &["--entity-type", "brokers", "--entity-name", "1", "--describe"]);
    assert!(shown.contains("DYNAMIC_BROKER_CONFIG:log.retention.ms=88888"), "{shown}");
    assert!(shown.contains("DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=99999"), "{shown}");
    let read_only = ["--entity-type", "brokers", "--entity-name", "1", "--alter", "--add-config", "num.partitions=3"];
    tool(&node, "kafka.admin.ConfigCommand", &read_only, "").fails();
}

#[test]
#[ignore = "slow: make compat"]
fn offsets_log_dirs_and_deleted_records_are_shown() {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("shown", 2, &[]).expect("a topic");
    let batch = ottla_compat_tests::batch::Batch::of_values(&["a", "b", "c", "d"]).encode();
    wire.append("shown", 1, &batch).expect("an append");
    let offsets = |time: &str| {
        tool(&node, "org.apache.kafka.tools.GetOffsetShell", &["--topic", "shown", "--time", time], "").ok()
    };
    assert_eq!(offsets("latest").trim(), "shown:0:0\nshown:1:4");
    assert_eq!(offsets("earliest").trim(), "shown:0:0\nshown:1:0");
    assert_eq!(offsets("max-timestamp").lines().last(), Some("shown:1:0"));

    let dirs =
        tool(&node, "org.apache.kafka.tools.LogDirsCommand", &["--describe", "--topic-list", "shown"], "").ok();
    assert!(dirs.contains(r#""partition":"shown-1""#) && dirs.contains(r#""error":null"#), "{dirs}");
    assert!(dirs.contains(&format!(r#""size":{}"#, batch.len())), "{dirs}");

    let file = node.scratch().join("delete.json");
    std::fs::write(&file, r#"{"partitions":[{"topic":"shown","partition":1,"offset":3}],"version":1}"#)
        .expect("a file");
    let path = file.display().to_string();
    let deleted = tool(&node, "org.apache.kafka.tools.DeleteRecordsCommand", &["--offset-json-file", &path], "").ok();
    assert!(deleted.contains("partition: shown-1\tlow_watermark: 3"), "{deleted}");
    assert_eq!(offsets("earliest").trim(), "shown:0:0\nshown:1:3");
}

#[test]
#[ignore = "slow: make compat"]
fn the_cluster_and_its_apis_are_shown() {
    let node = Node::start();
    let bootstrap = node.bootstrap();
    let cluster =
        run(kafka_tool("org.apache.kafka.tools.ClusterTool", ["cluster-id", "--bootstrap-server", &bootstrap]), b"")
            .ok();
    assert!(cluster.contains("Cluster ID: "), "{cluster}");
    let versions = tool(&node, "org.apache.kafka.tools.BrokerApiVersionsCommand", &[], "").ok();
    assert!(versions.contains(&format!("{bootstrap} (id: 1 rack: null")), "{versions}");
    assert!(versions.contains("Produce(0): 0 to 13 [usable:"), "{versions}");
    assert!(!versions.contains("Fetch(1): UNSUPPORTED"), "{versions}");
}

#[test]
#[ignore = "slow: make compat"]
fn the_console_consumer_reads_every_codec_and_the_benchmark_any_acks() {
    let node = Node::start();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        node.wire().create_topic(codec, 1, &[]).expect("a topic");
        console_producer(&node, &["--topic", codec, "--compression-codec", codec], "one\ntwo\n");
        let from =
            ["--topic", codec, "--partition", "0", "--offset", "0", "--max-messages", "2", "--timeout-ms", "20000"];
        assert_eq!(console_consumer(&node, &from), "one\ntwo\n", "{codec}");
    }
    let bootstrap = format!("bootstrap.servers={}", node.bootstrap());
    for acks in ["acks=0", "acks=1"] {
        let arguments = [
            "--topic",
            "none",
            "--num-records",
            "1000",
            "--record-size",
            "1000",
            "--throughput",
            "-1",
            "--producer-props",
            &bootstrap,
            acks,
            "enable.idempotence=false",
        ];
        let shown = run(kafka_tool("org.apache.kafka.tools.ProducerPerformance", arguments), b"").ok();
        assert!(shown.contains("1000 records sent"), "{shown}");
    }
}
