use super::*;
use crate::config::{BrokerConfig, Sources, load};

fn started_with(file: &str) -> BrokerConfig {
    load(&Sources { file: Some(("f".into(), file.to_owned())), ..Sources::default() }).unwrap().config
}

fn overrides(pairs: &[(&str, &str)]) -> ConfigOverrides {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// `key=value|key=value`, or the error's code and text.
fn shown(result: Result<ConfigOverrides, AlterError>) -> String {
    match result {
        Ok(set) => set.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("|"),
        Err(error) => format!("{:?}: {error}", error.code()),
    }
}

/// What CreateTopics makes of one setting.
#[track_caller]
fn check_create(key: &str, value: &str, expected: &str) {
    let (config, none) = (BrokerConfig::default(), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    assert_eq!(shown(create_topic(&layers, &[(key, Some(value))])), expected, "{key}={value}");
}

/// `+key value` appends, `-key value` subtracts, `=key value` sets, `!key` deletes.
fn parse(changes: &[&'static str]) -> Vec<Change<'static>> {
    let parse_one = |text: &&'static str| {
        let operation = match &text[..1] {
            "+" => Operation::Append,
            "-" => Operation::Subtract,
            "=" => Operation::Set,
            _ => Operation::Delete,
        };
        let (key, value) = text[1..].split_once(' ').map_or((&text[1..], None), |(key, value)| (key, Some(value)));
        Change { key, operation, value }
    };
    changes.iter().map(parse_one).collect()
}

#[track_caller]
fn check_topic_change(current: &[(&str, &str)], changes: &[&'static str], expected: &str) {
    let (config, none) = (BrokerConfig::default(), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    let result = change(&layers, Target::Topic, &overrides(current), &parse(changes));
    assert_eq!(shown(result), expected, "{changes:?}");
}

#[track_caller]
fn check_broker_change(file: &str, target: BrokerTarget, changes: &[&'static str], expected: &str) {
    let (config, none) = (started_with(file), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    assert_eq!(shown(change(&layers, Target::Broker(target), &none, &parse(changes))), expected, "{changes:?}");
}

// The texts below are those of a Kafka 4.3.1 broker asked the same.

#[test]
fn values_are_kept_as_given() {
    for (key, value) in [
        ("retention.ms", " 5 "),
        ("retention.ms", "+7"),
        ("retention.ms", "-1"),
        ("min.cleanable.dirty.ratio", "0.50"),
        ("cleanup.policy", "compact, delete"),
        ("cleanup.policy", "delete,delete"),
        ("cleanup.policy", ""),
        ("preallocate", "TRUE"),
        ("leader.replication.throttled.replicas", "*"),
        ("leader.replication.throttled.replicas", "0:1,1:2"),
        ("local.retention.ms", "999999999999"),
        ("remote.log.copy.disable", "true"),
        ("internal.segment.bytes", "5"),
        ("compression.type", "zstd"),
        ("flush.before.ack", "false"),
    ] {
        check_create(key, value, &format!("{key}={value}"));
    }
}

#[test]
fn bad_values_get_kafkas_answers() {
    let check = |key: &str, value: &str, shown: &str, reason: &str| {
        let expected = format!("InvalidConfig: Invalid value {shown} for configuration {key}: {reason}");
        check_create(key, value, &expected);
    };
    check("retention.ms", "abc", "abc", "Not a number of type LONG");
    check("retention.ms", "", "", "Not a number of type LONG");
    check("retention.ms", "-2", "-2", "Value must be at least -1");
    check("cleanup.policy", "foo", "foo", "String must be one of: compact, delete");
    check("cleanup.policy", "delete,foo", "foo", "String must be one of: compact, delete");
    check("preallocate", "yes", "yes", "Expected value to be either true or false");
    check("segment.bytes", "100", "100", "Value must be at least 1048576");
    check("segment.bytes", "99999999999", "99999999999", "Not a number of type INT");
    check("min.cleanable.dirty.ratio", "2", "2.0", "Value must be no more than 1");
    check("min.cleanable.dirty.ratio", "x", "x", "Not a number of type DOUBLE");
    check("min.cleanable.dirty.ratio", "NaN", "NaN", "Not a number of type DOUBLE");
    check("compression.type", "lzo", "lzo", "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer");
    check("compression.gzip.level", "0", "0", "Value must be between 1 and 9 or equal to -1");
    check("compression.zstd.level", "23", "23", "Value must be no more than 22");
    check("message.timestamp.type", "foo", "foo", "String must be one of: CreateTime, LogAppendTime");
    let throttled = "leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the \
                     following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...";
    check("leader.replication.throttled.replicas", "1:2:3", "[1:2:3]", throttled);
    check("leader.replication.throttled.replicas", "none", "[none]", throttled);
}

#[test]
fn keys_of_topics() {
    check_create("nope", "1", "InvalidConfig: Unknown topic config name: nope");
    check_create("message.format.version", "2.0", "InvalidConfig: Unknown topic config name: message.format.version");
    check_create(
        "remote.storage.enable",
        "true",
        "InvalidConfig: Tiered Storage functionality is disabled in the broker. Topic cannot be configured with \
         remote log storage.",
    );
    check_create("remote.storage.enable", "false", "remote.storage.enable=false");
}

#[test]
fn a_created_topic_has_no_null_settings() {
    let (config, none) = (BrokerConfig::default(), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    let settings = [("retention.ms", None), ("segment.ms", Some("1")), ("flush.ms", None)];
    let expected = "InvalidConfig: Null value not supported for topic configs: retention.ms,flush.ms";
    assert_eq!(shown(create_topic(&layers, &settings)), expected);
    let expected = "InvalidRequest: Null value not supported for : retention.ms, flush.ms";
    assert_eq!(shown(replace(&layers, Target::Topic, &settings)), expected);
}

#[test]
fn a_replacement_replaces_everything() {
    let (config, none) = (BrokerConfig::default(), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    assert_eq!(shown(replace(&layers, Target::Topic, &[("retention.ms", Some("1"))])), "retention.ms=1");
    assert_eq!(shown(replace(&layers, Target::Topic, &[])), "");
    let twice = [("retention.ms", Some("1")), ("retention.ms", Some("1"))];
    assert_eq!(shown(replace(&layers, Target::Topic, &twice)), "InvalidRequest: Error due to duplicate config keys");
}

#[test]
fn single_keys_change() {
    let both = [("retention.ms", "1"), ("segment.ms", "2")];
    check_topic_change(&both, &["=retention.ms 5"], "retention.ms=5|segment.ms=2");
    check_topic_change(&both, &["!retention.ms"], "segment.ms=2");
    check_topic_change(&both, &["!nope"], "retention.ms=1|segment.ms=2");
    check_topic_change(&both, &["!flush.ms", "=flush.messages 7"], "flush.messages=7|retention.ms=1|segment.ms=2");
    check_topic_change(&[], &["=a 1", "=a 2"], "InvalidRequest: Error due to duplicate config keys");
    check_topic_change(&[], &["=a", "+b", "!c"], "InvalidRequest: Null value not supported for : a, b");
}

#[test]
fn lists_grow_and_shrink() {
    let throttled = "leader.replication.throttled.replicas";
    check_topic_change(&[], &["+cleanup.policy compact"], "cleanup.policy=delete,compact");
    check_topic_change(&[("cleanup.policy", "compact")], &["+cleanup.policy compact"], "cleanup.policy=compact");
    check_topic_change(&[], &["-cleanup.policy delete,compact"], "cleanup.policy=");
    check_topic_change(&[], &["+leader.replication.throttled.replicas 0:1,0:2"], &format!("{throttled}=0:1,0:2"));
    let set = [(throttled, "0:1,0:2")];
    check_topic_change(&set, &["+leader.replication.throttled.replicas 0:1"], &format!("{throttled}=0:1,0:2"));
    check_topic_change(&set, &["-leader.replication.throttled.replicas 0:1,0:9"], &format!("{throttled}=0:2"));
    check_topic_change(
        &[],
        &["+retention.ms 1"],
        "InvalidConfig: Can't APPEND to key retention.ms because its type is not LIST.",
    );
    check_topic_change(&[], &["-nope 1"], "InvalidConfig: Can't SUBTRACT to key nope because its type is not LIST.");
}

#[test]
fn keys_of_one_topic_must_go_together() {
    check_topic_change(
        &[("min.compaction.lag.ms", "100")],
        &["=max.compaction.lag.ms 10"],
        "InvalidConfig: conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (10)",
    );
    let (config, none) = (started_with("log.cleaner.min.compaction.lag.ms=100"), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    let result = create_topic(&layers, &[("max.compaction.lag.ms", Some("10"))]);
    assert!(matches!(result, Err(AlterError::InvalidConfig(_))), "the broker's default counts too");
}

#[test]
fn the_cleaner_grows_and_shrinks_step_by_step() {
    let check = |changes: &[&'static str], expected: &str| {
        check_broker_change("log.cleaner.threads=4", BrokerTarget::AllBrokers, changes, expected);
    };
    check(&["=log.cleaner.threads 8"], "log.cleaner.threads=8");
    check(&["=log.cleaner.threads 2"], "log.cleaner.threads=2");
    let refused = "InvalidRequest: Log cleaner threads ";
    check(
        &["=log.cleaner.threads 9"],
        &format!("{refused}cannot be increased to more than double the current value 4"),
    );
    check(&["=log.cleaner.threads 1"], &format!("{refused}cannot be reduced to less than half the current value 4"));
    check(&["=log.cleaner.threads 0"], &format!("{refused}should be at least 1"));
}

#[test]
fn what_can_not_change_while_the_broker_runs() {
    for target in [BrokerTarget::ThisBroker, BrokerTarget::AllBrokers] {
        let check = |changes: &[&'static str], expected: &str| check_broker_change("", target, changes, expected);
        check(&["=num.partitions 3"], "InvalidRequest: Cannot update these configs dynamically: [num.partitions]");
        check(
            &["=num.partitions 3", "=node.id 3", "=max.connections -1"],
            "InvalidRequest: Cannot update these configs dynamically: [node.id, num.partitions]",
        );
        check(
            &["=log.retention.hours 1"],
            "InvalidRequest: Cannot update these configs dynamically: [log.retention.hours]",
        );
        check(&["=listeners PLAINTEXT://:1"], "InvalidRequest: Cannot update these configs dynamically: [listeners]");
        check(
            &["=ssl.keystore.location /x"],
            "InvalidRequest: These security configs can be dynamically updated only per-listener using the listener \
             prefix: [ssl.keystore.location]",
        );
        check(
            &["=max.connections -1"],
            "InvalidRequest: Invalid value -1 for configuration max.connections: Value must be at least 0",
        );
        check(
            &["=log.retention.ms x"],
            "InvalidRequest: Invalid value x for configuration log.retention.ms: Not a number of type LONG",
        );
        check(
            &["+message.max.bytes 1"],
            "InvalidConfig: Config value append is not allowed for config key: message.max.bytes",
        );
        check(&["-nope 1"], "InvalidConfig: Unknown config name: nope");
        check(
            &["=log.local.retention.ms 999999999999999"],
            "InvalidRequest: Invalid value 999999999999999 for configuration log.local.retention.ms: Value must not \
             be more than log.retention.ms property value: 604800000",
        );
    }
}

#[test]
fn what_a_broker_takes() {
    for target in [BrokerTarget::ThisBroker, BrokerTarget::AllBrokers] {
        let check = |changes: &[&'static str], expected: &str| check_broker_change("", target, changes, expected);
        check(&["=log.retention.ms 77000"], "log.retention.ms=77000");
        check(&["=nope.nope 3"], "nope.nope=3");
        check(&["!nope"], "");
        check(&["+log.cleanup.policy compact"], "log.cleanup.policy=delete,compact");
        check(&["=leader.replication.throttled.rate 5"], "leader.replication.throttled.rate=5");
        check(&["=listener.name.plaintext.max.connections 5"], "listener.name.plaintext.max.connections=5");
        check(&["=log.flush.before.ack false"], "log.flush.before.ack=false");
        check(&["=sasl.enabled.mechanisms GSSAPI", "!sasl.enabled.mechanisms"], {
            "InvalidRequest: Error due to duplicate config keys"
        });
    }
}

#[test]
fn one_brokers_keys_are_not_set_for_all() {
    let all = BrokerTarget::AllBrokers;
    check_broker_change(
        "",
        all,
        &["=sasl.enabled.mechanisms GSSAPI"],
        "InvalidRequest: Cannot update these configs at default cluster level, broker id must be specified: \
         [sasl.enabled.mechanisms]",
    );
    let one = BrokerTarget::ThisBroker;
    check_broker_change("", one, &["=sasl.enabled.mechanisms GSSAPI"], "sasl.enabled.mechanisms=GSSAPI");
}

#[test]
fn what_would_not_be_honoured_is_refused() {
    for change in [
        "=cordoned.log.dirs /x",
        "=sasl.enabled.mechanisms PLAIN",
        "=listener.name.plaintext.ssl.client.auth required",
        "=config.providers x",
        "=message.max.bytes ${file:/x:y}",
    ] {
        let (config, none) = (BrokerConfig::default(), ConfigOverrides::new());
        let layers = Layers { config: &config, cluster_default: &none, broker: &none };
        let result =
            super::change(&layers, Target::Broker(BrokerTarget::ThisBroker), layers.broker, &parse(&[change]));
        assert_eq!(result.as_ref().map_err(AlterError::code), Err(ErrorCode::InvalidConfig), "{change}: {result:?}");
    }
}

#[test]
fn keys_of_a_broker_must_go_together() {
    let one = BrokerTarget::ThisBroker;
    check_broker_change(
        "",
        one,
        &["=max.connections.per.ip 0"],
        "InvalidRequest: max.connections.per.ip=0: can be 0 only if max.connections.per.ip.overrides names who may \
         connect",
    );
    let both = ["=max.connections.per.ip 0", "=max.connections.per.ip.overrides localhost:5"];
    check_broker_change("", one, &both, "max.connections.per.ip=0|max.connections.per.ip.overrides=localhost:5");
    let kept = "log.retention.minutes=1";
    check_broker_change(
        kept,
        one,
        &["=log.local.retention.ms 60001"],
        "InvalidRequest: Invalid value 60001 for configuration log.local.retention.ms: Value must not be more than \
         log.retention.ms property value: 60000",
    );
    check_broker_change(kept, one, &["=log.local.retention.ms 60000"], "log.local.retention.ms=60000");
}

#[test]
fn settings_are_bounded() {
    let (config, none) = (BrokerConfig::default(), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    let long = "x".repeat(1024 * 1024);
    let result = replace(&layers, Target::Broker(BrokerTarget::AllBrokers), &[("odd", Some(&long))]);
    assert!(matches!(result, Err(AlterError::InvalidConfig(_))));
    assert!(replace(&layers, Target::Broker(BrokerTarget::AllBrokers), &[("odd", Some(&long[3..]))]).is_ok());
}

#[test]
fn brokers_are_named_by_number() {
    let this = BrokerId(1);
    assert_eq!(broker_target("", this), Ok(BrokerTarget::AllBrokers));
    assert_eq!(broker_target("1", this), Ok(BrokerTarget::ThisBroker));
    let check = |name: &str, expected: &str| {
        assert_eq!(broker_target(name, this), Err(AlterError::InvalidRequest(expected.to_owned())));
    };
    check("2", "Unexpected broker id, expected 1, but received 2");
    check("x", "Node id must be an integer, but it is: x");
}

#[test]
fn operations_have_numbers() {
    let known: Vec<_> = (0..4).map(|number| Operation::try_from(number).unwrap()).collect();
    assert_eq!(known, [Operation::Set, Operation::Delete, Operation::Append, Operation::Subtract]);
    assert!(Operation::try_from(4).is_err());
}

#[track_caller]
fn check_change(target: Target, current: &[(&str, &str)], changes: &[&'static str], expected: &str) {
    let (config, none) = (BrokerConfig::default(), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    assert_eq!(shown(change(&layers, target, &overrides(current), &parse(changes))), expected, "{changes:?}");
}

#[test]
fn groups_stay_within_the_brokers_bounds() {
    let check = |changes: &[&'static str], expected: &str| check_change(Target::Group, &[], changes, expected);
    check(&["=consumer.session.timeout.ms 50000"], "consumer.session.timeout.ms=50000");
    check(
        &["=consumer.session.timeout.ms 1"],
        "InvalidConfig: consumer.session.timeout.ms must be greater than or equal to \
         group.consumer.min.session.timeout.ms",
    );
    check(
        &["=share.delivery.count.limit 30"],
        "InvalidConfig: share.delivery.count.limit must be less than or equal to group.share.max.delivery.count.limit",
    );
    check(
        &["=share.delivery.count.limit 1"],
        "InvalidConfig: Invalid value 1 for configuration share.delivery.count.limit: Value must be at least 2",
    );
    check(
        &["=streams.num.standby.replicas 3"],
        "InvalidConfig: streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
    );
    check(&["=nope x"], "InvalidConfig: Unknown group config name: nope");
    check(&["!nope"], "");
    check(
        &["+consumer.session.timeout.ms 1"],
        "InvalidConfig: Can't APPEND to key consumer.session.timeout.ms because its type is not LIST.",
    );
    check(
        &["=share.auto.offset.reset none"],
        "InvalidConfig: Invalid value none for configuration share.auto.offset.reset: Invalid value `none` for \
         configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format \
         'by_duration:<PnDTnHnMn.nS>'.",
    );
}

#[test]
fn a_session_outlasts_a_heartbeat() {
    let file = "group.consumer.max.heartbeat.interval.ms=50000";
    let (config, none) = (started_with(file), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    let changes = parse(&["=consumer.session.timeout.ms 45000", "=consumer.heartbeat.interval.ms 45000"]);
    let expected = "InvalidConfig: consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms";
    assert_eq!(shown(change(&layers, Target::Group, &none, &changes)), expected);
}

#[test]
fn subscriptions_to_clients_metrics() {
    let check =
        |changes: &[&'static str], expected: &str| check_change(Target::ClientMetrics, &[], changes, expected);
    check(&["=interval.ms 100", "=metrics a,b"], "interval.ms=100|metrics=a,b");
    check(
        &["=interval.ms 99"],
        "InvalidRequest: Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
    );
    check(
        &["=interval.ms x"],
        "InvalidConfig: Invalid value x for configuration interval.ms: Not a number of type INT",
    );
    check(&["=nope 1"], "InvalidRequest: Unknown client metrics configuration: nope");
    check(&["+metrics c"], "InvalidConfig: Can't APPEND to key metrics because its type is not LIST.");
    check(&["=match x"], "InvalidConfig: Illegal client matching pattern: x");
    check(&["=match ,"], "InvalidConfig: Configuration 'match' values must not be empty.");
    check(&["=match client_id=a.*"], "match=client_id=a.*");
    check(&["=metrics "], "metrics=");
}
