//! Loading: defaults, Kafka's own file, what is refused and what is only remarked.

use std::path::PathBuf;

use proptest::prelude::*;

use super::{check_refused, check_refused_for, file, loaded, started_with};
use crate::config::keys::broker_keys;
use crate::config::*;
use crate::ids::BrokerId;

#[test]
fn with_nothing_given() {
    let Loaded { config, warnings } = load(&Sources::default()).unwrap();
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.node_id, BrokerId(1));
    assert_eq!(config.log_dirs, [PathBuf::from("./ottla-data")]);
    let listener = &config.listeners[0];
    assert_eq!((listener.name.as_str(), listener.host.as_str(), listener.port), ("PLAINTEXT", "localhost", 9092));
    assert_eq!(config.advertised_listeners.len(), 1);
    assert_eq!(config.admin_listeners.addresses, [HostPort { host: "localhost".to_owned(), port: 9644 }]);
    assert!(config.admin_listeners.is_default);
    assert_eq!(config.metadata, MetadataKind::Embedded);
    assert_eq!(config.value("offsets.topic.replication.factor"), Some("1"));
    assert_eq!(config, BrokerConfig::default());
}

#[test]
fn kafkas_own_file() {
    let Loaded { config, warnings } = loaded(include_str!("../testdata/kafka-4.3-server.properties"));
    assert_eq!(config.node_id, BrokerId(1));
    assert_eq!(config.listeners.len(), 1, "CONTROLLER is not opened");
    let listener = &config.listeners[0];
    assert_eq!((listener.name.as_str(), listener.host.as_str(), listener.port), ("PLAINTEXT", "", 9092));
    let advertised = &config.advertised_listeners[0];
    assert_eq!((config.advertised_listeners.len(), advertised.host.as_str()), (1, "localhost"));
    assert_eq!(config.inter_broker_listener_name, "PLAINTEXT");
    assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kraft-combined-logs")]);
    // Only what something else takes the place of, one line each.
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for key in ["process.roles: ", "controller.quorum.bootstrap.servers: ", "controller.listener.names: "] {
        assert!(warnings.iter().any(|warning| warning.starts_with(key)), "{key}");
    }
}

#[test]
fn values_are_typed() {
    let config = started_with(
        "node.id=7\nbroker.rack = r1\nmetadata=memory\nlog.dirs=/a, /b\nadmin.listeners=\n\
         connections.max.idle.ms=-1\nsocket.send.buffer.bytes=-1\nqueued.max.request.bytes=-1\n\
         auto.create.topics.enable=FALSE\nnum.partitions= 3 ",
    );
    assert_eq!(config.node_id, BrokerId(7));
    assert_eq!(config.broker_rack.as_deref(), Some("r1"));
    assert_eq!(config.metadata, MetadataKind::Memory);
    assert_eq!(config.log_dirs, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(config.admin_listeners, AdminListeners { addresses: vec![], is_default: false });
    assert_eq!(config.connections_max_idle_ms, None);
    assert_eq!(config.socket_send_buffer_bytes, None);
    assert_eq!(config.queued_max_request_bytes, None);
    assert!(!config.auto_create_topics_enable);
    assert_eq!(config.num_partitions, 3);
}

#[test]
fn bad_values_are_named_with_place_and_range() {
    check_refused("\nnum.partitions=0", "f:2: num.partitions=0: Value must be at least 1 (INT [1,...])");
    check_refused("num.partitions=x", "f:1: num.partitions=x: Not a number of type INT (INT [1,...])");
    check_refused(
        "delete.topic.enable=yes",
        "f:1: delete.topic.enable=yes: Expected value to be either true or false (BOOLEAN)",
    );
    check_refused(
        "compression.type=lzo",
        "f:1: compression.type=lzo: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer \
         (STRING [uncompressed, zstd, lz4, snappy, gzip, producer])",
    );
    check_refused(
        "log.retention.ms=0",
        "f:1: log.retention.ms=0: Value must be -1 (unlimited) or at least 1 (LONG -1 or [1,...])",
    );
    check_refused(
        "metadata=etcd",
        "f:1: metadata=etcd: String must be one of: embedded, memory (STRING [embedded, memory])",
    );
}

#[test]
fn a_problem_is_one_line() {
    check_refused(
        "process.roles=a\\nb",
        "f:1: process.roles=a\\nb: String must be one of: broker, controller (LIST [broker, controller])",
    );
}

#[test]
fn the_place_of_every_source() {
    let sources = Sources {
        file: None,
        env: vec![("OTTLA_NUM_PARTITIONS".to_owned(), "0".to_owned())],
        set: vec!["node.id=x".to_owned(), "oops".to_owned()],
    };
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "--set: 'oops' is not of the form key=value\n\
         --set: node.id=x: Not a number of type INT (INT [0,...])\n\
         environment OTTLA_NUM_PARTITIONS: num.partitions=0: Value must be at least 1 (INT [1,...])"
    );
}

#[test]
fn every_problem_is_told_at_once() {
    check_refused(
        "authorizer.class.name=a.B\nnum.partitions=0\nlisteners=SSL://:9093\nlog.dirs=/a,/a\nbroker.rack=\\u1",
        "f:5: a \\uXXXX escape needs four hexadecimal digits\n\
         f:1: authorizer.class.name=a.B is not honoured: this build has no authorizer, everybody could do everything\n\
         f:2: num.partitions=0: Value must be at least 1 (INT [1,...])\n\
         f:4: log.dirs=/a,/a: a log directory is named twice\n\
         f:3: listeners=SSL://:9093: listener SSL wants SSL, which this build does not speak; it would be open to \
         everybody",
    );
}

#[test]
fn a_secured_file_never_starts_an_open_broker() {
    for line in [
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:admin",
        "ssl.client.auth=required",
        "ssl.keystore.location=/x",
        "ssl.truststore.location=/x",
        "sasl.enabled.mechanisms=PLAIN",
        "sasl.jaas.config=x required;",
        "security.inter.broker.protocol=SSL",
        "listener.name.plaintext.ssl.client.auth=required",
        "listener.name.plaintext.plain.sasl.jaas.config=x",
        "principal.builder.class=x",
        "create.topic.policy.class.name=x",
        "alter.config.policy.class.name=x",
        "client.quota.callback.class=x",
        "remote.log.storage.system.enable=true",
        "config.providers=file",
        "config.providers.file.class=x",
        "connections.max.reauth.ms=1000",
        "delegation.token.secret.key=x",
        "cordoned.log.dirs=/x",
    ] {
        let key = line.split('=').next().unwrap();
        check_refused_for(line, &format!("{key}="));
        check_refused_for(line, " is not honoured: ");
    }
}

#[test]
fn secrets_are_not_repeated() {
    check_refused(
        "ssl.key.password=xyzzy",
        "f:1: ssl.key.password=[hidden] is not honoured: this build has no TLS, listeners would be open and unencrypted",
    );
}

#[test]
fn what_kafka_does_anyway_is_no_reason_to_stop() {
    for line in [
        "authorizer.class.name=",
        "super.users=",
        "ssl.client.auth=none",
        "ssl.enabled.protocols=TLSv1.2, TLSv1.3",
        "ssl.keystore.type=PKCS12",
        "ssl.endpoint.identification.algorithm=",
        "sasl.enabled.mechanisms=GSSAPI",
        "sasl.mechanism.inter.broker.protocol=GSSAPI",
        "security.inter.broker.protocol=PLAINTEXT",
        "remote.log.storage.system.enable=FALSE",
        "principal.builder.class=org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
    ] {
        assert_eq!(loaded(line).warnings, [""; 0], "{line}");
    }
}

#[test]
fn every_default_can_be_written_out() {
    let all = |key: &&'static key::Key| key.name != "security.inter.broker.protocol";
    let lines = broker_keys().filter(all).filter_map(|key| Some(format!("{}={}", key.name, key.default?)));
    let written = started_with(&lines.collect::<Vec<_>>().join("\n"));
    assert_eq!(written.listeners, BrokerConfig::default().listeners);
}

#[test]
fn values_from_elsewhere_are_refused() {
    for value in ["${file:/x:y}", "a${env:X}b", "${x}${vault:y}"] {
        check_refused_for(&format!("broker.rack={value}"), "values are not fetched from elsewhere");
        check_refused_for(&format!("unknown.key={value}"), "values are not fetched from elsewhere");
    }
    for value in ["${x}", "$x:y", "{a:b}", "${a", "${a}:b"] {
        assert_eq!(started_with(&format!("broker.rack={value}")).broker_rack.as_deref(), Some(value));
    }
}

#[track_caller]
fn check_warning(text: &str, expected: &str) {
    assert_eq!(loaded(text).warnings, [expected], "{text}");
}

#[test]
fn unknown_keys_are_named() {
    check_warning("\nfoo.bar=1", "f:2: unknown key foo.bar");
    check_warning("num.partition=1", "f:1: unknown key num.partition");
    check_warning(
        "retention.ms=1",
        "f:1: unknown key retention.ms: it belongs to topics, their default is log.retention.ms",
    );
    check_warning("listener.name.plaintext.foo=1", "f:1: unknown key listener.name.plaintext.foo");
    check_warning(
        "listener.name.x.max.connections=1",
        "f:1: listener.name.x.max.connections: there is no listener called x",
    );
}

#[test]
fn what_takes_the_place_of_other_machinery() {
    let quorum = "there is no KRaft quorum; the metadata store (key `metadata`) takes its place";
    check_warning("controller.quorum.voters=1@a:1", &format!("controller.quorum.voters: {quorum}"));
    check_warning(
        "controller.quorum.voters=1@a:1\ncontroller.quorum.fetch.timeout.ms=5",
        &format!("controller.quorum.fetch.timeout.ms, controller.quorum.voters: {quorum}"),
    );
    let zookeeper = "there is no ZooKeeper; the metadata store (key `metadata`) takes its place";
    check_warning("zookeeper.connect=a:2181", &format!("zookeeper.connect: {zookeeper}"));
    assert_eq!(loaded("process.roles=broker").warnings.len(), 1);
    assert_eq!(loaded("inter.broker.protocol.version=3.9").warnings.len(), 1);
    check_refused_for(
        "process.roles=controller",
        "f:1: process.roles=controller: there are no nodes that are contro",
    );
    check_refused_for("process.roles=broker,broker", "a role is named twice");
    check_refused_for("process.roles=leader", "String must be one of: broker, controller");
}

#[test]
fn keys_that_must_go_together() {
    check_refused("node.id=1\nbroker.id=2", "f:1: node.id=1: must be the same as broker.id=2");
    assert_eq!(started_with("broker.id=5").node_id, BrokerId(5));
    assert_eq!(started_with("node.id=5").value("broker.id"), Some("5"));
    check_refused_for("queued.max.request.bytes=5", "must be at least socket.request.max.bytes=104857600");
    check_refused_for("max.connections.per.ip=0", "max.connections.per.ip=0: can be 0 only if");
    check_refused_for("max.connections.per.ip.overrides=x", "'x' is not of the form host:count");
    check_refused_for("connections.max.idle.ms=50", "must be less than connections.max.idle.ms=50");
    check_refused_for("log.cleaner.threads=200", "must be more than 1 MiB for each of log.cleaner.threads");
    check_refused_for("replica.lag.time.max.ms=400", "must not exceed replica.lag.time.max.ms=400");
    check_refused_for("group.share.max.size=300\ngroup.share.max.share.sessions=200", "must not exceed");
    check_refused_for("group.consumer.assignment.interval.ms=15001", "must not exceed");
    check_refused_for(
        "group.share.heartbeat.interval.ms=15000\ngroup.share.min.session.timeout.ms=15000\n\
         group.share.session.timeout.ms=15000",
        "must be below group.share.session.timeout.ms=15000",
    );
    check_refused_for("log.cleaner.max.compaction.lag.ms=5\nlog.cleaner.min.compaction.lag.ms=6", "must not exceed");
    check_refused_for("log.dirs=/a,,/b", "a log directory without a name");
    assert_eq!(started_with("log.dir=/a\nlog.dirs=").log_dirs, [PathBuf::from("/a")]);
    assert_eq!(started_with("log.dir=/a\nlog.dirs=/b").log_dirs, [PathBuf::from("/b")]);
}

#[test]
fn admin_addresses() {
    let config = started_with("admin.listeners=:9644, [::1]:1");
    let shown: Vec<_> = config.admin_listeners.addresses.iter().map(|at| (at.host.as_str(), at.port)).collect();
    assert_eq!(shown, [("", 9644), ("::1", 1)]);
    check_refused("admin.listeners=x", "f:1: admin.listeners=x: 'x' is not of the form host:port");
}

proptest! {
    /// Whatever a file holds, it loads or every problem is one line.
    #[test]
    fn loading_never_panics(lines in prop::collection::vec((any_key(), any_value()), 0..8)) {
        let text = lines.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n");
        match load(&file(&text)) {
            Ok(loaded) => {
                let none = ConfigOverrides::new();
                let overrides: ConfigOverrides = lines.into_iter().collect();
                loaded.config.dynamic_config(&overrides, &overrides);
                loaded.config.log_config(&overrides, &none, &overrides);
                show(&loaded.config);
            }
            Err(errors) => prop_assert_eq!(errors.to_string().lines().count(), errors.0.len()),
        }
    }
}

fn any_key() -> impl Strategy<Value = String> {
    let names: Vec<_> = broker_keys().map(|key| key.name).collect();
    let known = prop::sample::select(names);
    prop_oneof![
        4 => known.clone().prop_map(str::to_owned),
        1 => known.prop_map(|name| format!("listener.name.plaintext.{name}")),
        1 => "[a-z.]{0,12}",
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => any::<i64>().prop_map(|number| number.to_string()),
        2 => (-3_i64..100).prop_map(|number| number.to_string()),
        2 => "[A-Z]{0,3}(://)?(\\[?[a-z0-9:.]{0,6}\\]?)?:[0-9]{0,6}(,[A-Z]{1,2}://:[0-9]{1,5}){0,2}",
        2 => "[ -~]{0,12}",
        1 => Just("true".to_owned()),
        1 => Just(String::new()),
    ]
}
