//! kcat (librdkafka): the round trip that everybody tries first.

use ottla_compat_tests::Node;
use ottla_compat_tests::tool::{kcat, run};

fn produce(node: &Node, topic: &str, options: &[&str], input: &[u8]) {
    run(kcat(&node.bootstrap(), ["-t", topic, "-P"].iter().chain(options)), input).ok();
}

/// Everything in a topic, as kcat prints it with these options.
fn consume(node: &Node, topic: &str, options: &[&str]) -> String {
    run(kcat(&node.bootstrap(), ["-t", topic, "-C", "-e", "-q"].iter().chain(options)), b"").ok()
}

#[test]
fn lines_come_back_in_order() {
    let node = Node::start();
    let lines: String = (0..5000).map(|n| format!("line {n} of a log file\n")).collect();
    produce(&node, "logs", &[], lines.as_bytes());
    assert_eq!(consume(&node, "logs", &[]), lines);
}

#[test]
fn the_listing_shows_the_broker_and_its_topics() {
    let node = Node::with(&[("num.partitions", "3")]);
    produce(&node, "listed", &[], b"x\n");
    let listing = run(kcat(&node.bootstrap(), ["-L"]), b"").ok();
    assert!(listing.contains(&format!("broker 1 at {}", node.bootstrap())), "{listing}");
    assert!(listing.contains("topic \"listed\" with 3 partitions:"), "{listing}");
    assert!(listing.contains("partition 2, leader 1, replicas: 1, isrs: 1"), "{listing}");
}

#[test]
fn every_codec_round_trips() {
    let node = Node::start();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("codec-{codec}");
        let lines: String = (0..2000).map(|n| format!("{codec} compresses repeated text well, line {n}\n")).collect();
        produce(&node, &topic, &["-z", codec], lines.as_bytes());
        assert_eq!(consume(&node, &topic, &[]), lines, "{codec}");
    }
}

#[test]
fn an_idempotent_producer_writes_each_line_once() {
    let node = Node::start();
    let lines: String = (0..3000).map(|n| format!("once {n}\n")).collect();
    produce(&node, "once", &["-X", "enable.idempotence=true"], lines.as_bytes());
    assert_eq!(consume(&node, "once", &[]), lines);
}

#[test]
fn offsets_may_be_absolute_relative_and_ranges() {
    let node = Node::start();
    produce(&node, "ranges", &["-p", "0"], b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let read = |from: &[&str]| consume(&node, "ranges", &[&["-p", "0"], from].concat());
    assert_eq!(read(&["-o", "beginning", "-c", "2"]), "0\n1\n");
    assert_eq!(read(&["-o", "7"]), "7\n8\n9\n");
    assert_eq!(read(&["-o", "-2"]), "8\n9\n");
    assert_eq!(read(&["-o", "end"]), "");
}

#[test]
fn a_range_of_timestamps_selects_what_lies_within() {
    let node = Node::start();
    let bootstrap = node.bootstrap();
    produce(&node, "times", &["-p", "0"], b"early\n");
    let stamp =
        || consume(&node, "times", &["-p", "0", "-o", "-1", "-f", "%T"]).trim().parse::<i64>().expect("a timestamp");
    let early = stamp();
    ottla_compat_tests::wait::eventually("a later millisecond", || {
        (ottla_compat_tests::batch::now_ms() > early + 5).then_some(())
    });
    produce(&node, "times", &["-p", "0"], b"late\n");
    let late = stamp();
    let from = format!("s@{late}");
    assert_eq!(consume(&node, "times", &["-p", "0", "-o", &from]), "late\n");
    let (from, to) = (format!("s@{early}"), format!("e@{late}"));
    assert_eq!(consume(&node, "times", &["-p", "0", "-o", &from, "-o", &to]), "early\n");
    let query = run(kcat(&bootstrap, ["-Q", "-t", &format!("times:0:{late}")]), b"").ok();
    assert_eq!(query.trim(), "times [0] offset 1");
    let query = run(kcat(&bootstrap, ["-Q", "-t", &format!("times:0:{}", late + 1)]), b"").ok();
    assert_eq!(query.trim(), "times [0] offset -1", "no record is that late");
}

#[test]
fn keys_headers_and_nulls_survive() {
    let node = Node::start();
    produce(
        &node,
        "parts",
        &["-K", ":", "-Z", "-H", "who=kcat", "-H", "empty="],
        b"key:value\nonly-key:\n:only-value\n",
    );
    let shown = consume(&node, "parts", &["-f", "%k|%K|%s|%S|%h\n"]);
    let expected =
        "key|3|value|5|who=kcat,empty=\nonly-key|8||-1|who=kcat,empty=\n|-1|only-value|10|who=kcat,empty=\n";
    assert_eq!(shown, expected);
}

#[test]
fn each_partition_is_a_log_of_its_own() {
    let node = Node::with(&[("num.partitions", "4")]);
    for partition in ["0", "1", "2", "3"] {
        produce(&node, "spread", &["-p", partition], format!("to {partition}\n").as_bytes());
    }
    for partition in ["0", "1", "2", "3"] {
        let shown = consume(&node, "spread", &["-p", partition, "-f", "%p %o %s\n"]);
        assert_eq!(shown, format!("{partition} 0 to {partition}\n"));
    }
}

#[test]
fn a_large_message_arrives_whole_and_a_too_large_one_is_refused() {
    let node = Node::start();
    let file = node.scratch().join("large");
    std::fs::write(&file, vec![b'x'; 900_000]).expect("a file");
    let path = file.display().to_string();
    produce(&node, "large", &[&path], b"");
    assert_eq!(consume(&node, "large", &["-f", "%S\n"]), "900000\n");

    std::fs::write(&file, vec![b'x'; 2_000_000]).expect("a file");
    let options = ["-P", "-t", "large", "-X", "message.max.bytes=10000000", &path];
    let refused = run(kcat(&node.bootstrap(), options), b"").fails();
    assert!(refused.contains("Message size too large"), "{refused}");
    assert_eq!(consume(&node, "large", &["-f", "%S\n"]), "900000\n", "nothing of the refused one is there");
}

#[test]
fn what_was_written_is_there_after_a_restart_and_after_a_kill() {
    let mut node = Node::start();
    produce(&node, "kept", &[], b"before the restart\n");
    node.restart();
    produce(&node, "kept", &[], b"before the kill\n");
    node.kill_and_restart();
    produce(&node, "kept", &[], b"after both\n");
    assert_eq!(consume(&node, "kept", &[]), "before the restart\nbefore the kill\nafter both\n");
}
