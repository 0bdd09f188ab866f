//! Client quotas: what may be set and who is asked for, that clients over them are told, throttled and no others are.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClientQuotasRequest, MetadataRequest, OffsetDeleteRequest,
};
use ottla_compat_tests::batch::{Batch, Record};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, fetch_request, name, produce_request, text};
use ottla_compat_tests::{Node, http, only_ottla};

const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_REQUEST: i16 = 42;
const THROTTLING_QUOTA_EXCEEDED: i16 = 89;

/// The client id of [`Wire`].
const CLIENT: &str = "compat";

type Entity<'a> = [(&'a str, Option<&'a str>)];
/// A change of one quota.
type Change<'a> = [(&'a str, Option<f64>); 1];
/// Components of a filter: the type of an entity, how it is matched, and with what.
type Filter<'a> = [(&'a str, i8, Option<&'a str>)];

fn alter_with(
    wire: &mut Wire,
    version: i16,
    validate_only: bool,
    entity: &Entity<'_>,
    ops: &[(&str, Option<f64>)],
) -> Result<(i16, Option<String>)> {
    let part = |&(kind, name): &(&str, Option<&str>)| {
        EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))
    };
    let op = |&(key, limit): &(&str, Option<f64>)| {
        OpData::default().with_key(text(key)).with_value(limit.unwrap_or_default()).with_remove(limit.is_none())
    };
    let entry =
        EntryData::default().with_entity(entity.iter().map(part).collect()).with_ops(ops.iter().map(op).collect());
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]).with_validate_only(validate_only);
    let response = wire.call(version, &request)?;
    let entry = response.entries.first().context("no entry")?;
    Ok((entry.error_code, entry.error_message.as_ref().map(ToString::to_string)))
}

fn alter(wire: &mut Wire, entity: &Entity<'_>, ops: &[(&str, Option<f64>)]) -> Result<(i16, Option<String>)> {
    alter_with(wire, 1, false, entity, ops)
}

/// Sets one quota and waits until it is shown.
fn set(wire: &mut Wire, entity: &Entity<'_>, key: &str, limit: Option<f64>) -> Result<()> {
    let (code, message) = alter(wire, entity, &[(key, limit)])?;
    ensure!(code == 0, "{key}: error {code} {message:?}");
    let exactly: Vec<_> = entity.iter().map(|&(kind, name)| (kind, i8::from(name.is_none()), name)).collect();
    let shown = limit.map(|limit| format!("{key}={limit}"));
    eventually("the quota is shown", || {
        let found = describe(wire, &exactly, true).ok()?;
        (found.iter().any(|line| line.contains(key)) == shown.is_some()).then_some(())
    });
    Ok(())
}

/// One line for each entity: `user=u client-id=null: key=limit`.
fn describe(wire: &mut Wire, components: &[(&str, i8, Option<&str>)], strict: bool) -> Result<Vec<String>> {
    let (code, message, lines) = describe_raw(wire, components, strict)?;
    ensure!(code == 0, "error {code} {message:?}");
    Ok(lines)
}

type Described = (i16, Option<String>, Vec<String>);

fn describe_raw(wire: &mut Wire, components: &[(&str, i8, Option<&str>)], strict: bool) -> Result<Described> {
    let component = |&(kind, match_type, name): &(&str, i8, Option<&str>)| {
        ComponentData::default().with_entity_type(text(kind)).with_match_type(match_type).with_match(name.map(text))
    };
    let request = DescribeClientQuotasRequest::default()
        .with_components(components.iter().map(component).collect())
        .with_strict(strict);
    let response = wire.call(1, &request)?;
    let entries = response.entries.unwrap_or_default();
    let mut lines: Vec<_> = entries
        .iter()
        .map(|entry| {
            let mut parts: Vec<_> = entry
                .entity
                .iter()
                .map(|part| format!("{}={}", &*part.entity_type, part.entity_name.as_deref().unwrap_or("null")))
                .collect();
            parts.sort();
            let mut values: Vec<_> =
                entry.values.iter().map(|value| format!("{}={}", &*value.key, value.value)).collect();
            values.sort();
            format!("{}: {}", parts.join(" "), values.join(" "))
        })
        .collect();
    lines.sort();
    Ok((response.error_code, response.error_message.as_ref().map(ToString::to_string), lines))
}

#[test]
fn quotas_are_kept_and_selected() -> Result<()> {
    let mut node = Node::start();
    let mut wire = node.wire();
    let all: [(&Entity<'_>, &str, f64); 6] = [
        (&[("client-id", Some("c"))], "producer_byte_rate", 1024.0),
        (&[("client-id", None)], "producer_byte_rate", 2048.0),
        (&[("user", Some("u/1"))], "consumer_byte_rate", 4.0),
        (&[("user", Some("u/1")), ("client-id", None)], "request_percentage", 12.5),
        (&[("user", None), ("client-id", Some("c"))], "controller_mutation_rate", 0.5),
        (&[("ip", Some("10.1.2.3"))], "connection_creation_rate", 7.0),
    ];
    for (entity, key, limit) in all {
        set(&mut wire, entity, key, Some(limit))?;
    }
    let lines = [
        "client-id=c user=null: controller_mutation_rate=0.5",
        "client-id=c: producer_byte_rate=1024",
        "client-id=null user=u/1: request_percentage=12.5",
        "client-id=null: producer_byte_rate=2048",
        "ip=10.1.2.3: connection_creation_rate=7",
        "user=u/1: consumer_byte_rate=4",
    ];
    let pick = |indexes: &[usize]| indexes.iter().map(|&index| lines[index].to_owned()).collect::<Vec<_>>();
    assert_eq!(describe(&mut wire, &[], false)?, lines);
    assert_eq!(describe(&mut wire, &[], true)?, pick(&[]));
    assert_eq!(describe(&mut wire, &[("client-id", 2, None)], false)?, pick(&[0, 1, 2, 3]));
    assert_eq!(describe(&mut wire, &[("client-id", 2, None)], true)?, pick(&[1, 3]));
    assert_eq!(describe(&mut wire, &[("client-id", 1, None)], false)?, pick(&[2, 3]));
    assert_eq!(describe(&mut wire, &[("user", 0, Some("u/1"))], false)?, pick(&[2, 5]));
    assert_eq!(describe(&mut wire, &[("user", 0, Some("u/1"))], true)?, pick(&[5]));
    assert_eq!(describe(&mut wire, &[("user", 1, None), ("client-id", 0, Some("c"))], true)?, pick(&[0]));
    assert_eq!(describe(&mut wire, &[("ip", 2, None)], false)?, pick(&[4]));
    assert_eq!(describe(&mut wire, &[("user", 0, Some("nobody"))], false)?, pick(&[]));

    // A dry run and an empty change leave everything as it is; what was never there can be removed.
    let entity = [("client-id", Some("v"))];
    assert_eq!(alter_with(&mut wire, 0, true, &entity, &[("producer_byte_rate", Some(1.0))])?.0, 0);
    assert_eq!(alter(&mut wire, &entity, &[])?.0, 0);
    assert_eq!(alter(&mut wire, &entity, &[("producer_byte_rate", None), ("nope", None)])?.0, 0);
    node.restart();
    let mut wire = node.wire();
    let shown =
        eventually("the quotas are back", || describe(&mut wire, &[], false).ok().filter(|shown| !shown.is_empty()));
    assert_eq!(shown, lines);
    for (entity, key, _) in all {
        set(&mut wire, entity, key, None)?;
    }
    assert_eq!(describe(&mut wire, &[], false)?, pick(&[]));
    Ok(())
}

#[test]
fn what_is_no_quota_is_refused_in_kafkas_words() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    let rate = |limit| [("producer_byte_rate", Some(limit))];
    let client: &Entity<'_> = &[("client-id", Some("c"))];
    let ip: &Entity<'_> = &[("ip", Some("10.1.2.3"))];
    let cases: [(&Entity<'_>, Change<'_>, &str); 13] = [
        (&[], rate(1.0), "Invalid empty client quota entity"),
        (client, rate(0.0), "Quota producer_byte_rate must be greater than 0"),
        (client, rate(-1.0), "Quota producer_byte_rate must be greater than 0"),
        (client, rate(1.5), "producer_byte_rate cannot be a fractional value."),
        (client, rate(1e30), "Proposed value for producer_byte_rate is too large for a LONG."),
        (client, [("connection_creation_rate", Some(1.0))], "Invalid configuration key connection_creation_rate"),
        (client, [("nope", Some(1.0))], "Invalid configuration key nope"),
        (&[("client-id", Some(""))], rate(1.0), "Empty client-id not supported"),
        (&[("user", Some(""))], rate(1.0), "Empty user not supported"),
        (&[("group", Some("x"))], rate(1.0), "Unhandled client quota entity type: group"),
        (
            &[("user", Some("u")), ("ip", Some("10.1.2.3"))],
            rate(1.0),
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
        ),
        (ip, rate(1.0), "Invalid configuration key producer_byte_rate"),
        (
            ip,
            [("connection_creation_rate", Some(1e10))],
            "Proposed value for connection_creation_rate is too large for an INT.",
        ),
    ];
    for (entity, ops, message) in cases {
        assert_eq!(
            alter(&mut wire, entity, &ops)?,
            (INVALID_REQUEST, Some(message.to_owned())),
            "{entity:?} {ops:?}"
        );
    }
    let twice = [("producer_byte_rate", Some(1.0)), ("producer_byte_rate", Some(2.0))];
    let ignored = "Ignoring duplicate entity ClientQuotaEntity(entries={client-id=c})";
    assert_eq!(alter(&mut wire, client, &twice)?, (INVALID_REQUEST, Some(ignored.to_owned())));
    assert_eq!(describe(&mut wire, &[], false)?, Vec::<String>::new(), "nothing was set");

    let filters: [(&Filter<'_>, i16, &str); 7] = [
        (&[("", 2, None)], INVALID_REQUEST, "Invalid empty entity type."),
        (&[("group", 2, None)], UNSUPPORTED_VERSION, "Unsupported entity type group"),
        (&[("user", 3, None)], INVALID_REQUEST, "Unknown match type 3"),
        (&[("user", 0, None)], INVALID_REQUEST, "Request specified MATCH_TYPE_EXACT, but set match string to null."),
        (
            &[("user", 1, Some("u"))],
            INVALID_REQUEST,
            "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.",
        ),
        (
            &[("user", 2, None), ("user", 1, None)],
            INVALID_REQUEST,
            "Entity type user cannot appear more than once in the filter.",
        ),
        (
            &[("user", 2, None), ("ip", 2, None)],
            INVALID_REQUEST,
            "Invalid entity filter component combination. IP filter component should not be used with user or clientId \
             filter component.",
        ),
    ];
    for (components, code, message) in filters {
        let (found, text, entries) = describe_raw(&mut wire, components, false)?;
        assert_eq!((found, text.as_deref(), entries.len()), (code, Some(message), 0), "{components:?}");
    }
    Ok(())
}

/// Bytes a second: a hundred thousand may come within the ten windows that count at first.
const RATE: f64 = 10_000.0;

fn batch(bytes: usize) -> bytes::Bytes {
    Batch::of(vec![Record::of(vec![b'x'; bytes])]).encode()
}

/// That the connection is not read for about as long as it was told: nothing comes sooner.
fn is_muted(wire: &mut Wire, other: &mut Wire, throttle_ms: i32) -> Result<()> {
    let told_at = Instant::now();
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    wire.send(1, &request)?;
    other.call(1, &request)?;
    let other_after = told_at.elapsed();
    wire.receive::<MetadataRequest>(1)?;
    let after = told_at.elapsed();
    let least = Duration::from_millis(throttle_ms as u64) * 8 / 10;
    ensure!(after >= least, "answered {after:?} after it was told to wait {throttle_ms} ms");
    ensure!(other_after < after, "the other connection had to wait too");
    Ok(())
}

#[test]
fn a_producer_over_its_rate_is_told_and_not_read() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    let mut other = node.wire();
    wire.create_topic("t", 1, &[])?;
    set(&mut wire, &[("client-id", None)], "producer_byte_rate", Some(RATE))?;
    let request = produce_request("t", 0, 1, batch(70_000));
    let throttle_ms = eventually("the producer is throttled", || {
        let response = wire.call(9, &request).ok()?;
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0, "what is over the rate is kept");
        (response.throttle_time_ms > 0).then_some(response.throttle_time_ms)
    });
    // 140 kB within ten windows, where 100 kB are allowed: 4 seconds.
    assert!((2_500..=6_000).contains(&throttle_ms), "{throttle_ms}");
    is_muted(&mut wire, &mut other, throttle_ms)?;
    assert_eq!(wire.list_offset("t", 0, -1)?.offset, 2);

    // Nobody tells a producer without answers; it is not read all the same.
    wire.send(9, &produce_request("t", 0, 0, batch(60_000)))?;
    wire.expect_no_answer();
    is_muted(&mut wire, &mut other, 1_000)?;

    set(&mut other, &[("client-id", None)], "producer_byte_rate", None)?;
    eventually("without a quota nobody is throttled", || {
        (other.call(9, &request).ok()?.throttle_time_ms == 0).then_some(())
    });
    Ok(())
}

#[test]
fn a_consumer_over_its_rate_gets_its_records_later() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    for _ in 0..8 {
        wire.append("t", 0, &batch(40_000))?;
    }
    set(&mut wire, &[("client-id", Some(CLIENT))], "consumer_byte_rate", Some(50_000.0))?;
    let (mut offset, mut throttled) = (0, 0);
    // 320 kB in pieces of at most 80 kB, of which 500 kB may come within ten windows: and then 320 kB once more.
    for _ in 0..2 {
        offset = 0;
        eventually("all records came", || {
            let mut request = fetch_request("t", 0, offset);
            request.max_bytes = 80_500;
            let response = wire.call(11, &request).ok()?;
            let partitions: Vec<_> = response.responses.iter().flat_map(|topic| &topic.partitions).collect();
            if response.throttle_time_ms > 0 {
                throttled += 1;
                assert!(partitions.iter().all(|found| found.records.as_ref().is_none_or(|bytes| bytes.is_empty())));
            }
            for found in partitions {
                assert_eq!(found.error_code, 0);
                let records = found.records.clone().unwrap_or_default();
                // Whole batches of one record each.
                offset += (records.len() / 40_000) as i64;
            }
            (offset == 8).then_some(())
        });
    }
    assert_eq!(offset, 8);
    assert!(throttled > 0, "640 kB are more than the quota allows at once");
    Ok(())
}

#[test]
fn time_of_the_broker_is_a_quota_too() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    let mut other = node.wire();
    set(&mut wire, &[("user", Some("ANONYMOUS"))], "request_percentage", Some(0.0001))?;
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    let throttle_ms = eventually("the client is throttled", || {
        let throttle_ms = wire.call(12, &request).ok()?.throttle_time_ms;
        (throttle_ms > 0).then_some(throttle_ms)
    });
    assert!(throttle_ms <= 1_000, "never more than a window: {throttle_ms}");
    let told_at = Instant::now();
    wire.call(12, &request)?;
    ensure!(told_at.elapsed() >= Duration::from_millis(throttle_ms as u64) * 8 / 10, "{:?}", told_at.elapsed());
    wire.create_topic("t", 1, &[])?;
    let produce = produce_request("t", 0, 1, batch(10));
    eventually("a producer is told", || (wire.call(9, &produce).ok()?.throttle_time_ms > 0).then_some(()));
    let versions = ApiVersionsRequest::default();
    eventually("whoever asks for versions is told", || {
        (wire.call(2, &versions).ok()?.throttle_time_ms > 0).then_some(())
    });
    let delete = OffsetDeleteRequest::default().with_group_id(text("g").into());
    eventually("whoever deletes offsets is told", || {
        (wire.call(0, &delete).ok()?.throttle_time_ms > 0).then_some(())
    });
    // Every connection of that user is under the same quota.
    eventually("the other is throttled", || (other.call(12, &request).ok()?.throttle_time_ms > 0).then_some(()));
    Ok(())
}

fn create(wire: &mut Wire, version: i16, topic: &str, partitions: i32) -> Result<(i16, i32)> {
    let topic =
        CreatableTopic::default().with_name(name(topic)).with_num_partitions(partitions).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let response = wire.call(version, &request)?;
    Ok((response.topics[0].error_code, response.throttle_time_ms))
}

#[test]
fn partitions_are_created_and_deleted_at_a_rate() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("before", 30, &[])?;
    wire.create_topic("small", 1, &[])?;
    set(&mut wire, &[("client-id", Some(CLIENT))], "controller_mutation_rate", Some(1.0))?;
    // Eleven may come at once, and the last request may go beyond; each of these connections is fresh, not muted.
    let mut made = 0;
    eventually("the quota is used up", || {
        let (code, throttle_ms) = create(&mut node.wire(), 7, &format!("t{made}"), 30).ok()?;
        assert!(code == 0 || code == THROTTLING_QUOTA_EXCEEDED, "{code}");
        made += 1;
        (code == THROTTLING_QUOTA_EXCEEDED).then(|| assert!(throttle_ms > 0))
    });
    let grow = CreatePartitionsTopic::default().with_name(name("small")).with_count(3).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![grow]).with_timeout_ms(30_000);
    let response = node.wire().call(3, &request)?;
    assert_eq!(response.results[0].error_code, THROTTLING_QUOTA_EXCEEDED);
    assert!(response.throttle_time_ms > 0);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("before")]).with_timeout_ms(30_000);
    let response = node.wire().call(5, &request)?;
    assert_eq!(response.responses[0].error_code, THROTTLING_QUOTA_EXCEEDED);
    // Older clients don't know the error: they are served and throttled.
    let (code, throttle_ms) = create(&mut node.wire(), 5, "old", 1)?;
    assert_eq!(code, 0);
    assert!(throttle_ms > 0);
    let response = node.wire().call(4, &request)?;
    assert_eq!(response.responses[0].error_code, 0);
    assert!(response.throttle_time_ms > 0);
    // Others have their own.
    set(&mut wire, &[("client-id", Some(CLIENT))], "controller_mutation_rate", None)?;
    eventually("no quota", || (create(&mut node.wire(), 7, "free", 50).ok()?.0 == 0).then_some(()));
    Ok(())
}

#[test]
fn an_address_connects_at_its_rate() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    set(&mut wire, &[("ip", Some("127.0.0.1"))], "connection_creation_rate", Some(2.0))?;
    eventually("a connection is kept out", || {
        let mut more = Wire::connect(&node.bootstrap()).ok()?;
        let closed = more.call(1, &MetadataRequest::default().with_topics(Some(Vec::new()))).is_err();
        closed.then_some(())
    });
    wire.broker_ids().context("who is connected stays so")?;
    set(&mut wire, &[("ip", Some("127.0.0.1"))], "connection_creation_rate", None)?;
    node.wire().broker_ids()?;
    Ok(())
}

#[test]
fn metrics_show_who_is_limited() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    let (_, page) = http::get(&node.admin_address(), "/metrics")?;
    assert!(!page.contains("kafka_server_quota_"), "nobody is limited");
    set(&mut wire, &[("client-id", None)], "producer_byte_rate", Some(RATE))?;
    wire.call(9, &produce_request("t", 0, 1, batch(150_000)))?;
    let (_, page) = http::get(&node.admin_address(), "/metrics")?;
    for family in ["byte_rate", "throttle_time"] {
        let series = format!("kafka_server_quota_{family}{{resource=\"Produce\",user=\"\",clientId=\"compat\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&series)).with_context(|| page.clone())?;
        assert!(value.parse::<f64>()? > 1_000.0, "{family} {value}");
    }
    Ok(())
}
