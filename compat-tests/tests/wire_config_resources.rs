//! Configurations of groups, of subscriptions to clients' metrics and of loggers, and which resources there are.

use std::collections::BTreeMap;

use anyhow::Result;
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as ReplacedResource, AlterableConfig as ReplacedConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};
use ottla_compat_tests::tool::{kafka_tool, run};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, text};
use ottla_compat_tests::{Node, only_ottla};

const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Answer = (i16, Option<String>);
type Change<'a> = (&'a str, i8, Option<&'a str>);

fn alter_with(wire: &mut Wire, validate_only: bool, kind: i8, name: &str, changes: &[Change<'_>]) -> Result<Answer> {
    let config = |&(key, operation, value): &Change<'_>| {
        AlterableConfig::default().with_name(text(key)).with_config_operation(operation).with_value(value.map(text))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(changes.iter().map(config).collect());
    let request =
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only);
    let response = wire.call(1, &request)?;
    let answer = &response.responses[0];
    Ok((answer.error_code, answer.error_message.as_ref().map(ToString::to_string)))
}

fn alter(wire: &mut Wire, kind: i8, name: &str, changes: &[Change<'_>]) -> Result<Answer> {
    alter_with(wire, false, kind, name, changes)
}

fn replace(wire: &mut Wire, kind: i8, name: &str, settings: &[(&str, &str)]) -> Result<i16> {
    let config =
        |(key, value): &(&str, &str)| ReplacedConfig::default().with_name(text(key)).with_value(Some(text(value)));
    let resource = ReplacedResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(settings.iter().map(config).collect());
    let response = wire.call(2, &AlterConfigsRequest::default().with_resources(vec![resource]))?;
    Ok(response.responses[0].error_code)
}

fn describe(wire: &mut Wire, kind: i8, name: &str) -> Result<DescribeConfigsResult> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    Ok(wire.call(4, &request)?.results[0].clone())
}

/// `value source type [synonym=value@source, ...]` by key.
fn shown(wire: &mut Wire, kind: i8, name: &str) -> Result<BTreeMap<String, String>> {
    let result = describe(wire, kind, name)?;
    assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    let configs = result.configs.iter().map(|config| {
        assert!(!config.read_only && !config.is_sensitive, "{}", &*config.name);
        let synonyms: Vec<_> = config
            .synonyms
            .iter()
            .map(|synonym| {
                format!("{}={}@{}", &*synonym.name, synonym.value.as_deref().unwrap_or("null"), synonym.source)
            })
            .collect();
        let value = config.value.as_deref().unwrap_or("null");
        let line = format!("{value} {} {} [{}]", config.config_source, config.config_type, synonyms.join(", "));
        (config.name.to_string(), line)
    });
    Ok(configs.collect())
}

#[track_caller]
fn becomes(wire: &mut Wire, kind: i8, name: &str, key: &str, line: &str) {
    let mut last = None;
    eventually(&format!("{key} of {name} is {line}"), || {
        let found = shown(wire, kind, name).ok()?.remove(key)?;
        let done = found == line;
        if !done && last.as_ref() != Some(&found) {
            eprintln!("{key} of {name} is {found}");
            last = Some(found);
        }
        done.then_some(())
    });
}

#[test]
fn a_group_has_kafkas_keys_defaults_and_synonyms() -> Result<()> {
    let node = Node::with(&[("group.consumer.session.timeout.ms", "50000")]);
    let mut wire = node.wire();
    let all = shown(&mut wire, GROUP, "g")?;
    let broker = |key: &str, value: &str, kind: i8| format!("{value} 5 {kind} [group.{key}={value}@5]");
    for (key, value) in [
        ("consumer.assignment.interval.ms", "1000"),
        ("consumer.heartbeat.interval.ms", "5000"),
        ("share.assignment.interval.ms", "1000"),
        ("share.delivery.count.limit", "5"),
        ("share.heartbeat.interval.ms", "5000"),
        ("share.partition.max.record.locks", "2000"),
        ("share.record.lock.duration.ms", "30000"),
        ("share.session.timeout.ms", "45000"),
        ("streams.assignment.interval.ms", "1000"),
        ("streams.heartbeat.interval.ms", "5000"),
        ("streams.initial.rebalance.delay.ms", "3000"),
        ("streams.num.standby.replicas", "0"),
        ("streams.session.timeout.ms", "45000"),
    ] {
        assert_eq!(all[key], broker(key, value, 3), "{key}");
    }
    let session = "group.consumer.session.timeout.ms";
    assert_eq!(all["consumer.session.timeout.ms"], format!("50000 4 3 [{session}=50000@4, {session}=45000@5]"));
    assert_eq!(all["share.auto.offset.reset"], "latest 5 2 [share.auto.offset.reset=latest@5]");
    assert_eq!(all["share.isolation.level"], "read_uncommitted 5 2 [share.isolation.level=read_uncommitted@5]");
    assert_eq!(all["share.renew.acknowledge.enable"], "true 5 1 [share.renew.acknowledge.enable=true@5]");
    assert_eq!(all.len(), 17, "{:?}", all.keys());
    assert_eq!(describe(&mut wire, GROUP, "")?.error_code, INVALID_REQUEST);
    Ok(())
}

#[test]
fn a_groups_settings_come_before_the_brokers() -> Result<()> {
    let mut node = Node::start();
    let mut wire = node.wire();
    let (key, name) = ("consumer.assignment.interval.ms", "group.consumer.assignment.interval.ms");
    assert_eq!(alter(&mut wire, BROKER, "", &[(name, SET, Some("2000"))])?.0, 0);
    assert_eq!(alter(&mut wire, BROKER, "1", &[(name, SET, Some("3000"))])?.0, 0);
    let brokers = format!("{name}=3000@2, {name}=2000@3, {name}=1000@5");
    becomes(&mut wire, GROUP, "a/b c", key, &format!("3000 2 3 [{brokers}]"));
    assert_eq!(alter_with(&mut wire, true, GROUP, "a/b c", &[(key, SET, Some("4000"))])?.0, 0);
    assert_eq!(alter(&mut wire, GROUP, "a/b c", &[(key, SET, Some("4000"))])?.0, 0);
    becomes(&mut wire, GROUP, "a/b c", key, &format!("4000 8 3 [{key}=4000@8, {brokers}]"));
    node.restart();
    let mut wire = node.wire();
    becomes(&mut wire, GROUP, "a/b c", key, &format!("4000 8 3 [{key}=4000@8, {brokers}]"));
    assert_eq!(replace(&mut wire, GROUP, "a/b c", &[("share.isolation.level", "read_committed")])?, 0);
    becomes(&mut wire, GROUP, "a/b c", key, &format!("3000 2 3 [{brokers}]"));
    let level = "share.isolation.level";
    let expected = format!("read_committed 8 2 [{level}=read_committed@8, {level}=read_uncommitted@5]");
    becomes(&mut wire, GROUP, "a/b c", level, &expected);
    Ok(())
}

#[test]
fn what_a_group_can_not_be_is_refused_in_kafkas_words() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    let least = |key: &str, of: &str| format!("{key} must be greater than or equal to {of}");
    let most = |key: &str, of: &str| format!("{key} must be less than or equal to {of}");
    let invalid = |key: &str, value: &str, why: &str| format!("Invalid value {value} for configuration {key}: {why}");
    let cases = [
        (
            "consumer.session.timeout.ms",
            "1",
            least("consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms"),
        ),
        (
            "consumer.session.timeout.ms",
            "70000",
            most("consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
        ),
        ("consumer.session.timeout.ms", "0", invalid("consumer.session.timeout.ms", "0", "Value must be at least 1")),
        ("consumer.session.timeout.ms", "x", invalid("consumer.session.timeout.ms", "x", "Not a number of type INT")),
        (
            "consumer.heartbeat.interval.ms",
            "20000",
            most("consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"),
        ),
        (
            "consumer.assignment.interval.ms",
            "16000",
            most("consumer.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"),
        ),
        (
            "share.record.lock.duration.ms",
            "100000",
            most("share.record.lock.duration.ms", "group.share.max.record.lock.duration.ms"),
        ),
        ("share.delivery.count.limit", "1", invalid("share.delivery.count.limit", "1", "Value must be at least 2")),
        (
            "share.partition.max.record.locks",
            "5000",
            most("share.partition.max.record.locks", "group.share.max.partition.max.record.locks"),
        ),
        (
            "streams.num.standby.replicas",
            "3",
            most("streams.num.standby.replicas", "group.streams.max.standby.replicas"),
        ),
        (
            "share.isolation.level",
            "x",
            invalid("share.isolation.level", "x", "String must be one of: read_committed, read_uncommitted"),
        ),
        (
            "share.auto.offset.reset",
            "by_duration:-PT1H",
            invalid(
                "share.auto.offset.reset",
                "by_duration:-PT1H",
                "Invalid value `by_duration:-PT1H` for configuration share.auto.offset.reset. The value must be either \
                 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
            ),
        ),
        ("nope", "x", "Unknown group config name: nope".to_owned()),
    ];
    for (key, value, message) in cases {
        let answer = alter(&mut wire, GROUP, "g", &[(key, SET, Some(value))])?;
        assert_eq!(answer, (INVALID_CONFIG, Some(message)), "{key}={value}");
    }
    let key = "consumer.session.timeout.ms";
    assert_eq!(alter(&mut wire, GROUP, "g", &[(key, APPEND, Some("1"))])?.0, INVALID_CONFIG);
    assert_eq!(alter(&mut wire, GROUP, "g", &[(key, SET, None)])?.0, INVALID_REQUEST);
    assert_eq!(alter(&mut wire, GROUP, "", &[(key, SET, Some("50000"))])?.0, INVALID_REQUEST);
    assert_eq!(alter(&mut wire, GROUP, "g", &[("nope", DELETE, None)])?.0, 0);
    assert_eq!(replace(&mut wire, GROUP, "g", &[("nope", "1")])?, INVALID_CONFIG);
    assert!(shown(&mut wire, GROUP, "g")?.values().all(|line| !line.contains("@8")), "nothing was set");
    Ok(())
}

#[test]
fn subscriptions_to_clients_metrics() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    let nothing = shown(&mut wire, CLIENT_METRICS, "s")?;
    let lines: Vec<_> = nothing.iter().map(|(key, line)| format!("{key} {line}")).collect();
    assert_eq!(lines, ["interval.ms 300000 5 3 []", "match  5 7 []", "metrics  5 7 []"]);
    let set = |value| [("interval.ms", SET, Some(value))];
    let range = "interval must be between 100 and 3600000 (1 hour)";
    let cases: [([Change<'_>; 1], i16, String); 9] = [
        (set("99"), INVALID_REQUEST, format!("Invalid value 99 for interval.ms, {range}")),
        (set("3600001"), INVALID_REQUEST, format!("Invalid value 3600001 for interval.ms, {range}")),
        (set("x"), INVALID_CONFIG, "Invalid value x for configuration interval.ms: Not a number of type INT".into()),
        ([("match", SET, Some("x"))], INVALID_CONFIG, "Illegal client matching pattern: x".into()),
        (
            [("match", SET, Some("client_id=["))],
            INVALID_CONFIG,
            "Illegal client matching pattern: client_id=[".into(),
        ),
        ([("match", SET, Some("nope=a"))], INVALID_CONFIG, "Illegal client matching pattern: nope=a".into()),
        ([("match", SET, Some(","))], INVALID_CONFIG, "Configuration 'match' values must not be empty.".into()),
        (
            [("metrics", APPEND, Some("c"))],
            INVALID_CONFIG,
            "Can't APPEND to key metrics because its type is not LIST.".into(),
        ),
        ([("nope", SET, Some("1"))], INVALID_REQUEST, "Unknown client metrics configuration: nope".into()),
    ];
    for (changes, code, message) in cases {
        assert_eq!(alter(&mut wire, CLIENT_METRICS, "s", &changes)?, (code, Some(message)), "{changes:?}");
    }
    let empty = "Subscription name can't be empty";
    assert_eq!(alter(&mut wire, CLIENT_METRICS, "", &set("100"))?, (INVALID_REQUEST, Some(empty.into())));
    assert_eq!(describe(&mut wire, CLIENT_METRICS, "")?.error_code, INVALID_REQUEST);

    let good =
        [("interval.ms", SET, Some("100")), ("metrics", SET, Some("a,b")), ("match", SET, Some("client_id=x.*"))];
    assert_eq!(alter(&mut wire, CLIENT_METRICS, "s", &good)?.0, 0);
    becomes(&mut wire, CLIENT_METRICS, "s", "interval.ms", "100 7 3 [interval.ms=100@7]");
    becomes(&mut wire, CLIENT_METRICS, "s", "metrics", "a,b 7 7 [metrics=a,b@7]");
    let none = good.map(|(key, ..)| (key, DELETE, None));
    assert_eq!(alter(&mut wire, CLIENT_METRICS, "s", &none)?.0, 0);
    becomes(&mut wire, CLIENT_METRICS, "s", "metrics", " 5 7 []");
    Ok(())
}

fn listed(wire: &mut Wire, version: i16, kinds: &[i8]) -> Result<(i16, Vec<(i8, String)>)> {
    let request = ListConfigResourcesRequest::default().with_resource_types(kinds.to_vec());
    let response = wire.call(version, &request)?;
    let resources = response.config_resources.iter();
    let mut found: Vec<_> = resources.map(|found| (found.resource_type, found.resource_name.to_string())).collect();
    found.sort();
    Ok((response.error_code, found))
}

#[test]
fn resources_are_listed_by_kind() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    assert_eq!(alter(&mut wire, GROUP, "g", &[("share.session.timeout.ms", SET, Some("50000"))])?.0, 0);
    assert_eq!(alter(&mut wire, CLIENT_METRICS, "m", &[("metrics", SET, Some("*"))])?.0, 0);
    let own = |kind: i8, name: &str| (kind, name.to_owned());
    let all =
        vec![own(TOPIC, "t"), own(BROKER, "1"), own(BROKER_LOGGER, "1"), own(CLIENT_METRICS, "m"), own(GROUP, "g")];
    eventually("everything is listed", || (listed(&mut wire, 1, &[]).ok()?.1 == all).then_some(()));
    assert_eq!(listed(&mut wire, 1, &[GROUP, TOPIC])?, (0, vec![own(TOPIC, "t"), own(GROUP, "g")]));
    assert_eq!(listed(&mut wire, 0, &[])?, (0, vec![own(CLIENT_METRICS, "m")]));
    assert_eq!(listed(&mut wire, 1, &[99])?, (UNSUPPORTED_VERSION, vec![]));
    Ok(())
}

/// A logger besides the root, with the line of both: their names are the broker's own, and so is what it logs.
fn some_logger(wire: &mut Wire) -> Result<(String, String)> {
    let all = shown(wire, BROKER_LOGGER, "1")?;
    let (name, line) = all.iter().find(|(name, _)| *name != "root").expect("a logger");
    assert!(line.ends_with(" 6 0 []"), "{line}");
    assert_eq!(*line, all["root"], "nothing was set for {name}");
    Ok((name.clone(), line.clone()))
}

#[test]
fn loggers_have_levels() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    let (logger, inherited) = some_logger(&mut wire)?;
    let mut change = |name: &str, operation, level: Option<&str>| {
        alter(&mut wire, BROKER_LOGGER, "1", &[(name, operation, level)])
    };
    assert_eq!(change(&logger, SET, Some("DEBUG"))?, (0, None));
    let level = |level: &str| {
        format!(
            "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid log levels are DEBUG, \
         ERROR, FATAL, INFO, TRACE, WARN"
        )
    };
    assert_eq!(change(&logger, SET, Some("LOUD"))?, (INVALID_CONFIG, Some(level("LOUD"))));
    assert_eq!(change(&logger, SET, Some("debug"))?, (INVALID_CONFIG, Some(level("debug"))));
    let missing = Some("Logger no.such.logger does not exist!".to_owned());
    assert_eq!(change("no.such.logger", SET, Some("INFO"))?, (INVALID_CONFIG, missing.clone()));
    assert_eq!(change("no.such.logger", DELETE, None)?, (INVALID_CONFIG, missing));
    let root = "Removing the log level of the root logger is not allowed";
    assert_eq!(change("root", DELETE, None)?, (INVALID_REQUEST, Some(root.into())));
    for (operation, verb) in [(APPEND, "APPEND"), (SUBTRACT, "SUBTRACT")] {
        let message = format!("{verb} operation is not allowed for the BROKER_LOGGER resource");
        assert_eq!(change(&logger, operation, Some("INFO"))?, (INVALID_REQUEST, Some(message)));
    }
    assert_eq!(change(&logger, SET, None)?.0, INVALID_REQUEST);
    becomes(&mut wire, BROKER_LOGGER, "1", &logger, "DEBUG 6 0 []");
    assert_eq!(alter_with(&mut wire, true, BROKER_LOGGER, "1", &[(&logger, SET, Some("TRACE"))])?.0, 0);
    becomes(&mut wire, BROKER_LOGGER, "1", &logger, "DEBUG 6 0 []");
    assert_eq!(alter(&mut wire, BROKER_LOGGER, "1", &[(&logger, DELETE, None)])?.0, 0);
    becomes(&mut wire, BROKER_LOGGER, "1", &logger, &inherited);
    for name in ["2", "x", ""] {
        assert_eq!(
            alter(&mut wire, BROKER_LOGGER, name, &[(&logger, SET, Some("INFO"))])?.0,
            INVALID_REQUEST,
            "{name}"
        );
        assert_eq!(describe(&mut wire, BROKER_LOGGER, name)?.error_code, INVALID_REQUEST, "{name}");
    }
    assert_eq!(
        replace(&mut wire, BROKER_LOGGER, "1", &[(&logger, "INFO")])?,
        INVALID_REQUEST,
        "AlterConfigs has no loggers"
    );
    Ok(())
}

#[test]
fn a_level_takes_effect_at_once() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let mut wire = node.wire();
    let closed = || node.output().matches("connection closed").count();
    drop(node.wire());
    assert_eq!(closed(), 0, "of no interest by default");
    assert_eq!(alter(&mut wire, BROKER_LOGGER, "1", &[("ottla.net", SET, Some("DEBUG"))])?.0, 0);
    eventually("a line of that level", || {
        drop(node.wire());
        (closed() > 0).then_some(())
    });
    Ok(())
}

fn configs(node: &Node, arguments: &[&str]) -> String {
    let bootstrap = node.bootstrap();
    let server = ["--bootstrap-server", &bootstrap];
    run(kafka_tool("kafka.admin.ConfigCommand", server.iter().chain(arguments)), b"").ok()
}

#[test]
fn kafka_configs_knows_groups() -> Result<()> {
    let node = Node::start();
    let group = ["--entity-type", "groups", "--entity-name", "g"];
    configs(&node, &[&["--alter", "--add-config", "share.record.lock.duration.ms=20000"], &group[..]].concat());
    let shown = configs(&node, &[&["--describe"], &group[..]].concat());
    assert!(shown.contains("share.record.lock.duration.ms=20000"), "{shown}");
    configs(&node, &[&["--alter", "--delete-config", "share.record.lock.duration.ms"], &group[..]].concat());
    let shown = configs(&node, &[&["--describe"], &group[..]].concat());
    assert!(!shown.contains("share.record.lock.duration.ms=20000"), "{shown}");

    Ok(())
}

#[test]
fn kafka_configs_knows_loggers() -> Result<()> {
    let node = Node::start();
    let loggers = ["--entity-type", "broker-loggers", "--entity-name", "1"];
    // The tool takes not every name.
    let names: Vec<String> = shown(&mut node.wire(), BROKER_LOGGER, "1")?.into_keys().collect();
    let levels: Vec<String> = names.iter().map(|name| format!("{name}=TRACE")).collect();
    configs(&node, &[&["--alter", "--add-config", &levels.join(",")], &loggers[..]].concat());
    let shown = configs(&node, &[&["--describe"], &loggers[..]].concat());
    for level in levels {
        assert!(shown.contains(&level), "{level}: {shown}");
    }
    Ok(())
}
