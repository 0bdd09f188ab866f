use super::*;
use crate::config::{BrokerConfig, Sources, load};

fn started_with(file: &str) -> BrokerConfig {
    load(&Sources { file: Some(("f".into(), file.to_owned())), ..Sources::default() }).unwrap().config
}

fn overrides(pairs: &[(&str, &str)]) -> ConfigOverrides {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// `value source [synonym=value@source, ...]`
fn shown(entry: &ConfigEntry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonyms: Vec<_> = entry
        .synonyms
        .iter()
        .map(|synonym| format!("{}={}@{}", synonym.name, text(&synonym.value), synonym.source as i8))
        .collect();
    format!("{} {} [{}]", text(&entry.value), entry.source as i8, synonyms.join(", "))
}

struct Case {
    file: &'static str,
    all: &'static [(&'static str, &'static str)],
    one: &'static [(&'static str, &'static str)],
    topic: &'static [(&'static str, &'static str)],
}

const NOTHING: Case = Case { file: "", all: &[], one: &[], topic: &[] };

impl Case {
    fn entry(&self, is_topic: bool, name: &str) -> Option<ConfigEntry> {
        let (config, all, one) = (started_with(self.file), overrides(self.all), overrides(self.one));
        let layers = Layers { config: &config, cluster_default: &all, broker: &one };
        let wanted = wanted([name]);
        let entries = if is_topic { topic(&layers, &overrides(self.topic), wanted) } else { broker(&layers, wanted) };
        assert!(entries.len() <= 1);
        entries.into_iter().next()
    }

    #[track_caller]
    fn topic(&self, name: &str, expected: &str) {
        assert_eq!(shown(&self.entry(true, name).unwrap()), expected, "{name}");
    }

    #[track_caller]
    fn broker(&self, name: &str, expected: &str) {
        assert_eq!(shown(&self.entry(false, name).unwrap()), expected, "{name}");
    }
}

// As a Kafka 4.3.1 broker with the same settings shows them.

#[test]
fn defaults() {
    NOTHING.topic("max.message.bytes", "1048588 5 [message.max.bytes=1048588@5]");
    NOTHING.topic("retention.ms", "604800000 5 []");
    NOTHING.topic("remote.storage.enable", "false 5 []");
    NOTHING.topic("leader.replication.throttled.replicas", " 5 []");
    NOTHING.broker("num.partitions", "1 5 [num.partitions=1@5]");
    NOTHING.broker("log.retention.ms", "null 5 []");
    NOTHING.broker("log.retention.hours", "168 5 [log.retention.hours=168@5]");
    NOTHING.broker("broker.rack", "null 5 []");
    NOTHING.broker("offsets.topic.replication.factor", "1 5 [offsets.topic.replication.factor=1@5]");
    NOTHING.broker("transaction.state.log.min.isr", "1 5 [transaction.state.log.min.isr=1@5]");
}

#[test]
fn every_layer_shows() {
    let case = Case {
        file: "message.max.bytes=2",
        all: &[("message.max.bytes", "3")],
        one: &[("message.max.bytes", "4")],
        topic: &[("max.message.bytes", "5")],
    };
    let brokers = "message.max.bytes=4@2, message.max.bytes=3@3, message.max.bytes=2@4, message.max.bytes=1048588@5";
    case.topic("max.message.bytes", &format!("5 1 [max.message.bytes=5@1, {brokers}]"));
    case.broker("message.max.bytes", &format!("4 2 [{brokers}]"));
    let case = Case { topic: &[], ..case };
    case.topic("max.message.bytes", &format!("4 2 [{brokers}]"));
}

#[test]
fn other_units() {
    let started = Case { file: "log.retention.minutes=600\nlog.retention.hours=168", ..NOTHING };
    started.topic("retention.ms", "36000000 5 []");
    let minutes = "log.retention.minutes=600@4, log.retention.hours=168@4, log.retention.hours=168@5";
    started.broker("log.retention.minutes", &format!("600 4 [{minutes}]"));
    let changed = Case { one: &[("log.retention.ms", "77000")], ..started };
    changed.topic("retention.ms", &format!("77000 2 [log.retention.ms=77000@2, {minutes}]"));
    changed.broker("log.retention.ms", &format!("77000 2 [log.retention.ms=77000@2, {minutes}]"));
    // The value in force is the dynamic one, in other units; this key has none.
    changed.broker("log.retention.minutes", &format!("null 4 [{minutes}]"));
    let forever = Case { file: "log.retention.hours=-1", ..NOTHING };
    forever.topic("retention.ms", "-1 5 []");
}

#[test]
fn the_broker_has_one_number() {
    for file in ["node.id=7", "broker.id=7"] {
        let case = Case { file, ..NOTHING };
        case.broker("node.id", "7 4 [node.id=7@4, node.id=1@5]");
        case.broker("broker.id", "7 4 [broker.id=7@4, broker.id=1@5]");
    }
}

#[test]
fn secrets_and_unknown_keys_are_not_shown() {
    let case = Case { file: "foo.bar=secret", one: &[("nope", "secret")], topic: &[("odd", "secret")], ..NOTHING };
    case.broker("foo.bar", "null 4 [foo.bar=null@4]");
    case.broker("nope", "null 2 [nope=null@2]");
    case.topic("odd", "null 1 [odd=null@1]");
    NOTHING.broker("ssl.key.password", "null 5 []");
    let unknown = case.entry(false, "foo.bar").unwrap();
    assert!(unknown.is_sensitive && unknown.is_read_only);
    assert_eq!((unknown.config_type, unknown.documentation), (0, None));
    assert!(NOTHING.entry(false, "ssl.key.password").unwrap().is_sensitive);
}

#[test]
fn listeners_have_keys_of_their_own() {
    let name = "listener.name.plaintext.max.connections";
    let case = Case { all: &[("listener.name.plaintext.max.connections", "5")], ..NOTHING };
    case.broker(name, &format!("5 3 [{name}=5@3, max.connections=2147483647@5]"));
    let entry = case.entry(false, name).unwrap();
    assert_eq!((entry.is_read_only, entry.is_sensitive, entry.config_type), (true, false, 3));
}

#[test]
fn facts_of_a_key() {
    let retention = NOTHING.entry(true, "retention.ms").unwrap();
    assert!(retention.is_default() && !retention.is_read_only && !retention.is_sensitive);
    assert_eq!(retention.config_type, 5);
    assert!(retention.documentation.is_some());
    assert!(NOTHING.entry(false, "num.partitions").unwrap().is_read_only);
    assert!(!NOTHING.entry(false, "message.max.bytes").unwrap().is_read_only);
}

#[test]
fn all_keys_and_wanted_keys() {
    let (config, none) = (BrokerConfig::default(), ConfigOverrides::new());
    let layers = Layers { config: &config, cluster_default: &none, broker: &none };
    let all_of_topic = topic(&layers, &none, wanted([]));
    assert_eq!(all_of_topic.len(), 34, "all but internal.segment.bytes");
    assert!(all_of_topic.is_sorted_by(|one, other| one.name < other.name));
    assert_eq!(topic(&layers, &none, wanted(["nope", "retention.ms"])).len(), 1);
    assert_eq!(NOTHING.entry(true, "internal.segment.bytes"), None);
    let set = Case { topic: &[("internal.segment.bytes", "5")], ..NOTHING };
    set.topic("internal.segment.bytes", "5 1 [internal.segment.bytes=5@1]");
    let all_of_broker = broker(&layers, wanted([]));
    assert!(all_of_broker.iter().any(|entry| entry.name == "log.flush.before.ack"));
    assert!(!all_of_broker.iter().any(|entry| entry.name == "unstable.api.versions.enable"));
}

#[test]
fn all_brokers_settings_stand_alone() {
    let config = started_with("message.max.bytes=2");
    let all = overrides(&[("message.max.bytes", "3"), ("nope", "x"), ("log.retention.ms", "4")]);
    let one = overrides(&[("message.max.bytes", "4")]);
    let layers = Layers { config: &config, cluster_default: &all, broker: &one };
    let entries = cluster_default(&layers, wanted([]));
    let lines: Vec<_> = entries.iter().map(|entry| format!("{} {}", entry.name, shown(entry))).collect();
    assert_eq!(
        lines,
        [
            "log.retention.ms 4 3 [log.retention.ms=4@3]",
            "message.max.bytes 3 3 [message.max.bytes=3@3]",
            "nope null 3 [nope=null@3]",
        ]
    );
    assert_eq!(cluster_default(&layers, wanted(["nope"])).len(), 1);
}

#[test]
fn groups_take_defaults_from_brokers() {
    let key = "group.consumer.assignment.interval.ms";
    let (config, all, one) = (started_with(""), overrides(&[(key, "2000")]), overrides(&[(key, "3000")]));
    let layers = Layers { config: &config, cluster_default: &all, broker: &one };
    let own = overrides(&[("consumer.assignment.interval.ms", "4000"), ("share.isolation.level", "read_committed")]);
    let show = |own: &ConfigOverrides, name: &str| {
        group(&layers, own, wanted([name])).iter().map(shown).collect::<Vec<_>>().join("; ")
    };
    let brokers = format!("{key}=3000@2, {key}=2000@3, {key}=1000@5");
    assert_eq!(show(&ConfigOverrides::new(), "consumer.assignment.interval.ms"), format!("3000 2 [{brokers}]"));
    assert_eq!(
        show(&own, "consumer.assignment.interval.ms"),
        format!("4000 8 [consumer.assignment.interval.ms=4000@8, {brokers}]")
    );
    let level = "share.isolation.level";
    assert_eq!(show(&ConfigOverrides::new(), level), format!("read_uncommitted 5 [{level}=read_uncommitted@5]"));
    assert_eq!(show(&own, level), format!("read_committed 8 [{level}=read_committed@8, {level}=read_uncommitted@5]"));
    assert_eq!(group(&layers, &own, wanted([])).len(), 17);
}

#[test]
fn subscriptions_have_no_synonyms_but_their_own() {
    let own = overrides(&[("interval.ms", "1000"), ("metrics", "")]);
    let entries = client_metrics(&own, wanted([]));
    let lines: Vec<_> = entries.iter().map(|entry| format!("{} {}", entry.name, shown(entry))).collect();
    assert_eq!(lines, ["interval.ms 1000 7 [interval.ms=1000@7]", "match  5 []", "metrics  7 [metrics=@7]"]);
}
