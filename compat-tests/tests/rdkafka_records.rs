//! librdkafka: whatever a record may hold comes back as it was sent.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::Duration;

use ottla_compat_tests::Node;
use ottla_compat_tests::batch::now_ms;
use ottla_compat_tests::librdkafka::{Sender, assign, client, consumer, next, read_all};
use ottla_compat_tests::wait::DEADLINE;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::{Offset, TopicPartitionList};

#[test]
fn every_codec_round_trips_with_and_without_idempotence() {
    let node = Node::start();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for idempotence in ["false", "true"] {
            let topic = format!("{codec}-{idempotence}");
            let sender =
                Sender::new(&node.bootstrap(), &[("compression.codec", codec), ("enable.idempotence", idempotence)]);
            let value =
                |n: usize| format!("{n} is compressed by {codec} {}", "again and ".repeat(n % 50)).into_bytes();
            for n in 0..1000 {
                sender.send(&topic, Some(0), &n.to_string(), &value(n));
            }
            for delivery in sender.finish_ok() {
                assert_eq!(delivery.result, Ok(delivery.key.parse().expect("a number")), "{topic}: offsets in order");
            }
            let read = read_all(&node.bootstrap(), &topic, 0);
            assert_eq!(read.len(), 1000, "{topic}");
            for (n, record) in read.into_iter().enumerate() {
                assert_eq!((record.key_text(), record.value), (n.to_string(), Some(value(n))), "{topic}");
            }
        }
    }
}

#[test]
fn null_and_empty_keys_and_values_are_told_apart() {
    let node = Node::start();
    let sender = Sender::new(&node.bootstrap(), &[]);
    let kinds: [Option<&str>; 3] = [None, Some(""), Some("x")];
    for key in kinds {
        for value in kinds {
            let mut record = BaseRecord::<str, [u8]>::to("nulls").partition(0);
            record.key = key;
            record.payload = value.map(str::as_bytes);
            sender.send_record(record);
        }
    }
    sender.finish_ok();
    let mut read = read_all(&node.bootstrap(), "nulls", 0).into_iter();
    for key in kinds {
        for value in kinds {
            let found = read.next().expect("a record");
            assert_eq!(found.key.as_deref(), key.map(str::as_bytes));
            assert_eq!(found.value.as_deref(), value.map(str::as_bytes));
        }
    }
}

#[test]
fn headers_keep_order_repetition_and_nulls() {
    let node = Node::start();
    let sender = Sender::new(&node.bootstrap(), &[]);
    let headers: [(&str, Option<&[u8]>); 5] =
        [("a", Some(b"1")), ("b", None), ("a", Some(b"2")), ("", Some(b"")), ("binary", Some(&[0, 255, 7]))];
    let mut sent = OwnedHeaders::new();
    for (key, value) in headers {
        sent = sent.insert(Header { key, value });
    }
    sender.send_record(BaseRecord::<str, [u8]>::to("headers").partition(0).key("k").payload(b"v").headers(sent));
    sender.finish_ok();
    let consumer = consumer(&node.bootstrap(), &[]);
    assign(&consumer, "headers", 0, Offset::Beginning);
    let message = consumer.poll(DEADLINE).expect("a record").expect("no error");
    let read: Vec<_> = message.headers().expect("headers").iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(read, headers);
}

#[test]
fn a_mebibyte_fits_and_more_is_refused() {
    let node = Node::start();
    node.wire().create_topic("large", 1, &[("max.message.bytes", "1100000")]).expect("a topic");
    let sender = Sender::new(&node.bootstrap(), &[("message.max.bytes", "10000000")]);
    let mebibyte: Vec<u8> = (0..1 << 20).map(|n| (n % 251) as u8).collect();
    sender.send("large", Some(0), "fits", &mebibyte);
    sender.send("large", Some(0), "empty", b"");
    sender.finish_ok();
    let sender = Sender::new(&node.bootstrap(), &[("message.max.bytes", "10000000")]);
    sender.send("large", Some(0), "too large", &vec![7; 2_000_000]);
    assert_eq!(sender.finish()[0].result, Err(RDKafkaErrorCode::MessageSizeTooLarge));
    let read = read_all(&node.bootstrap(), "large", 0);
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].value.as_deref(), Some(&mebibyte[..]));
    assert_eq!(read[1].value.as_deref(), Some(&b""[..]));
}

#[test]
fn timestamps_are_kept_and_found() {
    let node = Node::start();
    let begin = now_ms() - 100_000;
    for codec in ["none", "lz4"] {
        let topic = format!("times-{codec}");
        let sender = Sender::new(&node.bootstrap(), &[("compression.codec", codec)]);
        for n in 0..100 {
            sender.send_record(
                BaseRecord::to(&topic).partition(0).key("k").payload(&b"v"[..]).timestamp(begin + 100 * n),
            );
        }
        sender.finish_ok();
        let read = read_all(&node.bootstrap(), &topic, 0);
        assert!(read.iter().zip(0..).all(|(record, n)| record.timestamp_ms == Some(begin + 100 * n)), "{codec}");
        let consumer = consumer(&node.bootstrap(), &[]);
        for (asked, offset) in
            [(0, Offset::Offset(0)), (1, Offset::Offset(1)), (5050, Offset::Offset(51)), (9901, Offset::End)]
        {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, 0, Offset::Offset(begin + asked)).expect("a timestamp");
            let found = consumer.offsets_for_times(list, DEADLINE).expect("offsets");
            assert_eq!(found.elements()[0].offset(), offset, "{codec} +{asked}");
        }
    }
}

#[test]
fn a_hundred_partitions_are_filled_and_read_at_once() {
    const PARTITIONS: i32 = 100;
    let node = Node::start();
    node.wire().create_topic("many", PARTITIONS, &[]).expect("a topic");
    let sender = Sender::new(&node.bootstrap(), &[]);
    for n in 0..5000 {
        sender.send("many", None, &n.to_string(), b"value");
    }
    let mut sent: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for delivery in sender.finish_ok() {
        sent.entry(delivery.partition).or_default().push(delivery.key);
    }
    assert!(sent.len() as i32 > PARTITIONS - 5, "keys spread over {} partitions", sent.len());
    let consumer = consumer(&node.bootstrap(), &[]);
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("many", partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&list).expect("an assignment");
    let mut read: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for _ in 0..5000 {
        let message = consumer.poll(DEADLINE).expect("a record").expect("no error");
        let key = String::from_utf8(message.key().expect("a key").to_vec()).expect("text");
        read.entry(message.partition()).or_default().push(key);
    }
    let sorted = |mut all: BTreeMap<i32, Vec<String>>| {
        all.values_mut().for_each(|keys| keys.sort());
        all
    };
    assert_eq!(sorted(read), sorted(sent));
}

#[test]
fn watermarks_and_seeks_follow_the_log() {
    let node = Node::start();
    let sender = Sender::new(&node.bootstrap(), &[]);
    for n in 0..20 {
        sender.send("marks", Some(0), &n.to_string(), b"v");
    }
    sender.finish_ok();
    let consumer = consumer(&node.bootstrap(), &[]);
    assert_eq!(consumer.fetch_watermarks("marks", 0, DEADLINE).expect("watermarks"), (0, 20));
    assign(&consumer, "marks", 0, Offset::Offset(5));
    assert_eq!(next(&consumer).offset, 5);
    consumer.seek("marks", 0, Offset::Offset(17), DEADLINE).expect("a seek");
    assert_eq!([next(&consumer).offset, next(&consumer).offset], [17, 18]);
    assign(&consumer, "marks", 0, Offset::OffsetTail(1));
    assert_eq!(next(&consumer).offset, 19);
    assert!(consumer.poll(Duration::from_millis(300)).is_none(), "the end");
}

/// Case 37.
#[test]
fn many_clients_create_one_topic_at_once() {
    const CLIENTS: usize = 20;
    let node = Node::with(&[("num.partitions", "4")]);
    let barrier = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let (node, barrier) = (&node, &barrier);
            scope.spawn(move || {
                let sender = Sender::new(&node.bootstrap(), &[]);
                barrier.wait();
                sender.send("together", None, &n.to_string(), b"me too");
                sender.finish_ok();
            });
        }
    });
    let read: usize = (0..4).map(|partition| read_all(&node.bootstrap(), "together", partition).len()).sum();
    assert_eq!(read, CLIENTS);
}

#[test]
fn a_deleted_topic_makes_its_producer_fail_or_start_anew() {
    let node = Node::with(&[("auto.create.topics.enable", "false")]);
    node.wire().create_topic("gone", 1, &[]).expect("a topic");
    let config = client(&node.bootstrap());
    let admin: rdkafka::admin::AdminClient<_> = config.create().expect("an admin client");
    let sender = Sender::new(&node.bootstrap(), &[("message.timeout.ms", "15000")]);
    sender.send("gone", Some(0), "before", b"v");
    ottla_compat_tests::wait::eventually("the first is acknowledged", || {
        (sender.reports().acknowledged() == 1).then_some(())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let deleted = runtime.block_on(admin.delete_topics(&["gone"], &rdkafka::admin::AdminOptions::new()));
    assert_eq!(deleted.expect("an answer"), [Ok("gone".to_owned())]);
    ottla_compat_tests::wait::eventually("the topic is gone", || {
        (node.wire().topic("gone").ok()?.topics[0].error_code == 3).then_some(())
    });
    sender.send("gone", Some(0), "after", b"v");
    let after = sender.finish().pop().expect("a report");
    let error = after.result.expect_err("nobody holds the topic");
    use RDKafkaErrorCode::{MessageTimedOut, UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    assert!(
        matches!(error, MessageTimedOut | UnknownPartition | UnknownTopic | UnknownTopicOrPartition),
        "{error:?}"
    );
}
