//! librdkafka in groups: eager and cooperative rebalances, the consumer protocol, static members, members that die,
//! commits with metadata, offsets by time; and kcat -G.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ottla_compat_tests::Node;
use ottla_compat_tests::librdkafka::{Sender, client};
use ottla_compat_tests::suite::QUICK_GROUPS;
use ottla_compat_tests::tool::{kcat, run};
use ottla_compat_tests::wait::{DEADLINE, eventually};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};

const PARTITIONS: i32 = 4;

fn node() -> Node {
    let node = Node::with(&QUICK_GROUPS);
    node.wire().create_topic("t", PARTITIONS, &[]).expect("a topic");
    node
}

/// Sends value n to partition n modulo the partitions.
fn send(node: &Node, values: std::ops::Range<i32>) {
    let sender = Sender::new(&node.bootstrap(), &[]);
    for n in values {
        sender.send("t", Some(n % PARTITIONS), &n.to_string(), b"value");
    }
    sender.finish_ok();
}

/// A member that commits only when told to.
fn join(node: &Node, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = client(&node.bootstrap());
    config.set("group.id", "g").set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    config.set("fetch.wait.max.ms", "100");
    if !settings.contains(&("group.protocol", "consumer")) {
        config.set("heartbeat.interval.ms", "200");
    }
    for (key, value) in settings {
        config.set(*key, *value);
    }
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&["t"]).expect("a subscription");
    consumer
}

fn assigned(consumer: &BaseConsumer) -> BTreeSet<i32> {
    let list = consumer.assignment().expect("an assignment");
    list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
}

/// The keys of what came at once.
fn poll(consumer: &BaseConsumer) -> Vec<i32> {
    let mut keys = Vec::new();
    while let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
        let key = std::str::from_utf8(message.key().expect("a key")).expect("text");
        keys.push(key.parse().expect("a number"));
    }
    keys
}

/// Polls until each of these was read, none of them twice.
#[track_caller]
fn read_each_once(members: &[&BaseConsumer], expected: std::ops::Range<i32>) {
    let mut read = Vec::new();
    eventually("each record", || {
        members.iter().for_each(|member| read.extend(poll(member)));
        (read.len() >= expected.len()).then_some(())
    });
    read.sort_unstable();
    assert!(read.into_iter().eq(expected), "each once");
}

/// Polls until the members share the partitions in these numbers.
#[track_caller]
fn share(members: &[&BaseConsumer], expected: &[usize]) {
    eventually(&format!("shares of {expected:?}"), || {
        let all: Vec<_> = members.iter().map(|member| (poll(member), assigned(member)).1).collect();
        let whole: BTreeSet<_> = all.iter().flatten().collect();
        (all.iter().map(BTreeSet::len).eq(expected.iter().copied()) && whole.len() == PARTITIONS as usize)
            .then_some(())
    });
}

/// One member has all, a second takes half and leaves.
fn rebalances(settings: &[(&str, &str)]) {
    let node = node();
    send(&node, 0..40);
    let first = join(&node, settings);
    read_each_once(&[&first], 0..40);
    first.commit_consumer_state(CommitMode::Sync).expect("a commit");
    let second = join(&node, settings);
    share(&[&first, &second], &[2, 2]);
    send(&node, 40..80);
    read_each_once(&[&first, &second], 40..80);
    first.commit_consumer_state(CommitMode::Sync).expect("a commit");
    second.commit_consumer_state(CommitMode::Sync).expect("a commit");
    drop(second);
    share(&[&first], &[4]);
    send(&node, 80..120);
    read_each_once(&[&first], 80..120);
}

#[test]
fn eager_rebalances() {
    rebalances(&[("partition.assignment.strategy", "range")]);
}

#[test]
#[ignore = "slow: make compat"]
fn eager_rebalances_by_round_robin() {
    rebalances(&[("partition.assignment.strategy", "roundrobin")]);
}

#[test]
fn cooperative_rebalances() {
    rebalances(&[("partition.assignment.strategy", "cooperative-sticky")]);
}

#[test]
fn rebalances_in_the_consumer_protocol() {
    rebalances(&[("group.protocol", "consumer")]);
}

#[test]
fn a_static_member_that_comes_back_has_what_it_had() {
    let node = node();
    let stays = join(&node, &[("group.instance.id", "stays")]);
    let goes = join(&node, &[("group.instance.id", "goes")]);
    share(&[&stays, &goes], &[2, 2]);
    let (kept, before) = (assigned(&stays), assigned(&goes));
    drop(goes);
    let back = join(&node, &[("group.instance.id", "goes")]);
    eventually("the same partitions", || {
        poll(&back);
        poll(&stays);
        assert_eq!(assigned(&stays), kept, "nobody else notices");
        (assigned(&back) == before).then_some(())
    });
}

#[test]
fn commits_keep_their_metadata_and_times_find_offsets() {
    let node = node();
    send(&node, 0..40);
    let member = join(&node, &[]);
    read_each_once(&[&member], 0..40);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 1, Offset::Offset(3)).expect("an offset");
    list.find_partition("t", 1).expect("it is there").set_metadata("three of ten");
    member.commit(&list, CommitMode::Sync).expect("a commit");
    let committed = member.committed(DEADLINE).expect("committed offsets");
    let found = committed.find_partition("t", 1).expect("it is there");
    assert_eq!((found.offset(), found.metadata()), (Offset::Offset(3), "three of ten"));
    assert_eq!(committed.find_partition("t", 2).expect("it is there").offset(), Offset::Invalid);

    list.find_partition("t", 1).expect("it is there").set_metadata("x".repeat(5000));
    let refused = member.commit(&list, CommitMode::Sync).expect_err("metadata above the limit");
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::OffsetMetadataTooLarge));

    let mut times = TopicPartitionList::new();
    times.add_partition_offset("t", 0, Offset::Offset(1)).expect("a time");
    times.add_partition_offset("t", 1, Offset::Offset(i64::MAX / 2)).expect("a time");
    let found = member.offsets_for_times(times, DEADLINE).expect("offsets");
    assert_eq!(found.find_partition("t", 0).expect("it is there").offset(), Offset::Offset(0));
    assert_eq!(found.find_partition("t", 1).expect("it is there").offset(), Offset::End);
}

/// kcat in a group, until it is dropped or killed.
struct Staying(Child);

impl Staying {
    fn start(node: &Node) -> Self {
        let settings = ["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500", "-G", "g", "t"];
        let mut command: Command = kcat(&node.bootstrap(), settings);
        let quiet = Stdio::null;
        Self(command.stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().expect("kcat"))
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_partitions_of_a_member_that_is_killed_go_to_another() {
    let node = node();
    let survivor = join(&node, &[("partition.assignment.strategy", "range")]);
    share(&[&survivor], &[4]);
    let victim = Staying::start(&node);
    eventually("two members share", || {
        poll(&survivor);
        (assigned(&survivor).len() == 2).then_some(())
    });
    drop(victim);
    share(&[&survivor], &[4]);
    send(&node, 0..40);
    read_each_once(&[&survivor], 0..40);
}

#[test]
fn kcat_reads_in_a_group_and_goes_on_where_it_was() {
    let node = node();
    let read = |count: &str| {
        let from_start = ["-X", "auto.offset.reset=earliest", "-c", count, "-q", "-f", "%k\n", "-G", "g", "t"];
        let shown = run(kcat(&node.bootstrap(), from_start), b"").ok();
        shown.lines().map(|line| line.parse::<i32>().expect("a number")).collect::<BTreeSet<_>>()
    };
    send(&node, 0..20);
    assert!(read("20").into_iter().eq(0..20));
    send(&node, 20..40);
    assert!(read("20").into_iter().eq(20..40), "what was committed does not come again");
}
