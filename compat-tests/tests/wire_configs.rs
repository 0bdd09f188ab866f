//! What DescribeConfigs, AlterConfigs and IncrementalAlterConfigs answer, and that a change takes effect.

use std::collections::BTreeMap;

use anyhow::Result;
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as ReplacedResource, AlterableConfig as ReplacedConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, text};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

const FROM_TOPIC: i8 = 1;
const FROM_CLUSTER_DEFAULT: i8 = 3;
const FROM_FILE: i8 = 4;
const FROM_DEFAULT: i8 = 5;

fn describe(wire: &mut Wire, kind: i8, resource: &str, keys: Option<&[&str]>) -> Result<DescribeConfigsResult> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    Ok(wire.call(4, &request)?.results[0].clone())
}

fn all(wire: &mut Wire, kind: i8, resource: &str) -> Result<BTreeMap<String, DescribeConfigsResourceResult>> {
    let result = describe(wire, kind, resource, None)?;
    assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    Ok(result.configs.into_iter().map(|config| (config.name.to_string(), config)).collect())
}

/// Value and source of one key.
fn one(wire: &mut Wire, kind: i8, resource: &str, key: &str) -> Result<(Option<String>, i8)> {
    let config = &describe(wire, kind, resource, Some(&[key]))?.configs[0];
    Ok((config.value.as_ref().map(ToString::to_string), config.config_source))
}

type Change<'a> = (&'a str, i8, Option<&'a str>);

fn alter(wire: &mut Wire, kind: i8, resource: &str, changes: &[Change<'_>]) -> Result<i16> {
    let config = |&(key, operation, value): &Change<'_>| {
        AlterableConfig::default().with_name(text(key)).with_config_operation(operation).with_value(value.map(text))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configs(changes.iter().map(config).collect());
    let response = wire.call(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]))?;
    Ok(response.responses[0].error_code)
}

#[track_caller]
fn becomes(wire: &mut Wire, kind: i8, resource: &str, key: &str, value: Option<&str>, source: i8) {
    let wanted = (value.map(str::to_owned), source);
    let mut seen = None;
    ottla_compat_tests::wait::within(std::time::Duration::from_secs(10), &format!("{key} is {wanted:?}"), || {
        let found = one(wire, kind, resource, key).ok()?;
        let done = found == wanted;
        if seen.as_ref() != Some(&found) {
            eprintln!("{key} is {found:?}");
            seen = Some(found);
        }
        done.then_some(())
    });
}

/// Case 33.
#[test]
fn every_topic_config_has_its_default() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    let configs = all(&mut wire, TOPIC, "t")?;
    let defaults = [
        ("cleanup.policy", "delete"),
        ("compression.gzip.level", "-1"),
        ("compression.lz4.level", "9"),
        ("compression.type", "producer"),
        ("compression.zstd.level", "3"),
        ("delete.retention.ms", "86400000"),
        ("file.delete.delay.ms", "60000"),
        ("flush.messages", "9223372036854775807"),
        ("flush.ms", "9223372036854775807"),
        ("follower.replication.throttled.replicas", ""),
        ("index.interval.bytes", "4096"),
        ("leader.replication.throttled.replicas", ""),
        ("local.retention.bytes", "-2"),
        ("local.retention.ms", "-2"),
        ("max.compaction.lag.ms", "9223372036854775807"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.after.max.ms", "3600000"),
        ("message.timestamp.before.max.ms", "9223372036854775807"),
        ("message.timestamp.type", "CreateTime"),
        ("min.cleanable.dirty.ratio", "0.5"),
        ("min.compaction.lag.ms", "0"),
        ("min.insync.replicas", "1"),
        ("preallocate", "false"),
        ("remote.storage.enable", "false"),
        ("retention.bytes", "-1"),
        ("retention.ms", "604800000"),
        ("segment.bytes", "1073741824"),
        ("segment.index.bytes", "10485760"),
        ("segment.jitter.ms", "0"),
        ("segment.ms", "604800000"),
        ("unclean.leader.election.enable", "false"),
    ];
    for (key, value) in defaults {
        let config = configs.get(key).unwrap_or_else(|| panic!("{key} is not described"));
        assert_eq!(config.value.as_ref().map(|value| value.as_str()), Some(value), "{key}");
        // Kafka itself writes min.insync.replicas into the cluster's defaults when it has eligible leader replicas.
        assert!(config.config_source == FROM_DEFAULT || key == "min.insync.replicas", "{key}");
        assert!(!config.is_sensitive && !config.read_only, "{key}");
        assert!(config.documentation.as_ref().is_some_and(|doc| !doc.is_empty()), "{key} has a doc");
        assert_ne!(config.config_type, 0, "{key} has a type");
    }
    Ok(())
}

/// Case 33: Materialize and others read num.partitions here.
#[test]
fn every_broker_config_has_its_default() -> Result<()> {
    let node = Node::start();
    let configs = all(&mut node.wire(), BROKER, "1")?;
    let defaults = [
        ("auto.create.topics.enable", "true"),
        ("background.threads", "10"),
        ("compression.type", "producer"),
        ("connections.max.idle.ms", "600000"),
        ("default.replication.factor", "1"),
        ("delete.topic.enable", "true"),
        ("fetch.max.bytes", "57671680"),
        ("log.cleanup.policy", "delete"),
        ("log.message.timestamp.type", "CreateTime"),
        ("log.retention.bytes", "-1"),
        ("log.retention.hours", "168"),
        ("log.segment.bytes", "1073741824"),
        ("max.connections", "2147483647"),
        ("message.max.bytes", "1048588"),
        ("min.insync.replicas", "1"),
        ("num.io.threads", "8"),
        ("num.network.threads", "3"),
        ("num.partitions", "1"),
        ("offsets.retention.minutes", "10080"),
        ("offsets.topic.num.partitions", "50"),
        ("socket.request.max.bytes", "104857600"),
        ("transaction.state.log.num.partitions", "50"),
        ("unclean.leader.election.enable", "false"),
    ];
    for (key, value) in defaults {
        let config = configs.get(key).unwrap_or_else(|| panic!("{key} is not described"));
        assert_eq!(config.value.as_ref().map(|value| value.as_str()), Some(value), "{key}");
        // Kafka itself writes min.insync.replicas into the cluster's defaults when it has eligible leader replicas.
        assert!(config.config_source == FROM_DEFAULT || key == "min.insync.replicas", "{key}");
    }
    assert_eq!(configs["log.dirs"].config_source, FROM_FILE, "given in the file");
    assert!(configs["num.partitions"].read_only && !configs["message.max.bytes"].read_only);
    assert!(configs.len() > 200, "{} keys", configs.len());
    Ok(())
}

#[test]
fn only_the_keys_asked_for_come_back() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    let result = describe(&mut wire, TOPIC, "t", Some(&["retention.ms", "no.such.key", "segment.ms"]))?;
    let mut keys: Vec<&str> = result.configs.iter().map(|config| config.name.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["retention.ms", "segment.ms"]);
    assert_eq!(describe(&mut wire, TOPIC, "absent", None)?.error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(describe(&mut wire, BROKER, "77", None)?.error_code, INVALID_REQUEST, "another broker's");
    Ok(())
}

#[test]
fn synonyms_lead_from_the_topic_to_the_broker() -> Result<()> {
    let node = Node::with(&[("log.retention.ms", "86400000")]);
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[("retention.ms", "1000")])?;
    wire.create_topic("u", 1, &[])?;
    let own = all(&mut wire, TOPIC, "t")?.remove("retention.ms").expect("the key");
    assert_eq!((own.value.as_ref().map(|value| value.as_str()), own.config_source), (Some("1000"), FROM_TOPIC));
    let names: Vec<(&str, i8)> = own.synonyms.iter().map(|synonym| (synonym.name.as_str(), synonym.source)).collect();
    assert_eq!(names[0], ("retention.ms", FROM_TOPIC), "{names:?}");
    assert!(names.contains(&("log.retention.ms", FROM_FILE)), "{names:?}");
    let inherited = all(&mut wire, TOPIC, "u")?.remove("retention.ms").expect("the key");
    assert_eq!(inherited.value.as_ref().map(|value| value.as_str()), Some("86400000"));
    assert_eq!(inherited.config_source, FROM_FILE);
    Ok(())
}

#[test]
fn a_topic_config_is_set_deleted_appended_and_subtracted() -> Result<()> {
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    assert_eq!(alter(&mut wire, TOPIC, "t", &[("retention.ms", SET, Some("5000"))])?, 0);
    becomes(&mut wire, TOPIC, "t", "retention.ms", Some("5000"), FROM_TOPIC);
    assert_eq!(alter(&mut wire, TOPIC, "t", &[("cleanup.policy", APPEND, Some("compact"))])?, 0);
    becomes(&mut wire, TOPIC, "t", "cleanup.policy", Some("delete,compact"), FROM_TOPIC);
    node.restart();
    let mut wire = node.wire();
    becomes(&mut wire, TOPIC, "t", "cleanup.policy", Some("delete,compact"), FROM_TOPIC);
    assert_eq!(alter(&mut wire, TOPIC, "t", &[("cleanup.policy", SUBTRACT, Some("delete"))])?, 0);
    becomes(&mut wire, TOPIC, "t", "cleanup.policy", Some("compact"), FROM_TOPIC);
    let both = [("cleanup.policy", DELETE, None), ("retention.ms", DELETE, None)];
    assert_eq!(alter(&mut wire, TOPIC, "t", &both)?, 0);
    becomes(&mut wire, TOPIC, "t", "retention.ms", Some("604800000"), FROM_DEFAULT);
    Ok(())
}

/// Case 36.
#[test]
fn a_change_that_fails_leaves_nothing_behind() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    let refused: [(&[Change<'_>], i16); 6] = [
        (&[("cleanup.policy", APPEND, Some("nonsense"))], INVALID_CONFIG),
        (&[("retention.ms", SET, Some("1")), ("segment.ms", SET, Some("never"))], INVALID_CONFIG),
        (&[("retention.ms", SET, Some("1")), ("no.such.key", SET, Some("1"))], INVALID_CONFIG),
        (&[("retention.ms", APPEND, Some("1"))], INVALID_CONFIG),
        (&[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))], INVALID_REQUEST),
        (&[("retention.ms", SET, None)], INVALID_REQUEST),
    ];
    for (changes, error) in refused {
        assert_eq!(alter(&mut wire, TOPIC, "t", changes)?, error, "{changes:?}");
    }
    assert_eq!(alter(&mut wire, TOPIC, "absent", &[("retention.ms", SET, Some("1"))])?, UNKNOWN_TOPIC_OR_PARTITION);
    // A change that succeeds and is seen comes after all that were refused.
    assert_eq!(alter(&mut wire, TOPIC, "t", &[("segment.ms", SET, Some("7000"))])?, 0);
    becomes(&mut wire, TOPIC, "t", "segment.ms", Some("7000"), FROM_TOPIC);
    assert_eq!(one(&mut wire, TOPIC, "t", "cleanup.policy")?, (Some("delete".into()), FROM_DEFAULT));
    assert_eq!(one(&mut wire, TOPIC, "t", "retention.ms")?, (Some("604800000".into()), FROM_DEFAULT));
    Ok(())
}

#[test]
fn alter_configs_replaces_the_whole_set() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[("segment.ms", "1234"), ("retention.ms", "5678")])?;
    let resource = ReplacedResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text("t"))
        .with_configs(vec![ReplacedConfig::default().with_name(text("retention.ms")).with_value(Some(text("9999")))]);
    let response = wire.call(2, &AlterConfigsRequest::default().with_resources(vec![resource]))?;
    assert_eq!(response.responses[0].error_code, 0);
    becomes(&mut wire, TOPIC, "t", "retention.ms", Some("9999"), FROM_TOPIC);
    becomes(&mut wire, TOPIC, "t", "segment.ms", Some("604800000"), FROM_DEFAULT);
    Ok(())
}

#[test]
fn a_cluster_default_shows_on_topics_and_takes_effect_at_once() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    let large = Batch::of_values(&["x".repeat(3000).as_str()]).encode();
    assert_eq!(wire.append("t", 0, &large)?, 0);
    assert_eq!(alter(&mut wire, BROKER, "", &[("message.max.bytes", SET, Some("2000"))])?, 0);
    becomes(&mut wire, TOPIC, "t", "max.message.bytes", Some("2000"), FROM_CLUSTER_DEFAULT);
    eventually("the smaller limit holds", || {
        (wire.produce("t", 0, -1, &large).ok()?.error_code == MESSAGE_TOO_LARGE).then_some(())
    });
    assert_eq!(alter(&mut wire, BROKER, "", &[("message.max.bytes", DELETE, None)])?, 0);
    eventually("the default is back", || (wire.produce("t", 0, -1, &large).ok()?.error_code == 0).then_some(()));
    Ok(())
}

#[test]
fn read_only_broker_configs_cannot_be_changed() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    assert_eq!(alter(&mut wire, BROKER, "1", &[("num.partitions", SET, Some("4"))])?, INVALID_REQUEST);
    assert_eq!(alter(&mut wire, BROKER, "1", &[("log.retention.hours", SET, Some("4"))])?, INVALID_REQUEST);
    assert_eq!(one(&mut wire, BROKER, "1", "num.partitions")?, (Some("1".into()), FROM_DEFAULT));
    Ok(())
}
