//! Quotas as real clients meet them: Kafka's own tools set them and are throttled by them, and so is librdkafka.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_compat_tests::Node;
use ottla_compat_tests::tool::{kafka_tool, run};
use ottla_compat_tests::wait::eventually;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Statistics};

fn configs(node: &Node, arguments: &[&str]) -> String {
    let bootstrap = node.bootstrap();
    let server = ["--bootstrap-server", &bootstrap];
    run(kafka_tool("kafka.admin.ConfigCommand", server.iter().chain(arguments)), b"").ok()
}

#[test]
fn kafka_configs_sets_describes_and_removes_quotas() {
    let node = Node::start();
    let client = ["--entity-type", "clients", "--entity-name", "billing"];
    let user = ["--entity-type", "users", "--entity-default"];
    let both = [&user[..], &["--entity-type", "clients", "--entity-default"]].concat();
    configs(
        &node,
        &[&["--alter", "--add-config", "producer_byte_rate=1024,consumer_byte_rate=2048"], &client[..]].concat(),
    );
    configs(&node, &[&["--alter", "--add-config", "request_percentage=150"], &user[..]].concat());
    configs(&node, &[&["--alter", "--add-config", "controller_mutation_rate=0.5"], &both[..]].concat());

    let shown = configs(&node, &[&["--describe"], &client[..]].concat());
    let expected = "Quota configs for client-id 'billing' are consumer_byte_rate=2048.0, producer_byte_rate=1024.0";
    assert!(shown.contains(expected), "{shown}");
    let shown = configs(&node, &[&["--describe"], &user[..]].concat());
    assert!(shown.contains("Quota configs for the default user-principal are request_percentage=150.0"), "{shown}");
    // For users that it knows by name the tool asks for their passwords' parameters too.
    let alice = ["--entity-type", "users", "--entity-name", "alice"];
    configs(&node, &[&["--alter", "--add-config", "producer_byte_rate=4096"], &alice[..]].concat());
    for users in [&alice[..], &["--entity-type", "users"]] {
        let shown = configs(&node, &[&["--describe"], users].concat());
        assert!(shown.contains("Quota configs for user-principal 'alice' are producer_byte_rate=4096.0"), "{shown}");
        assert!(!shown.contains("Exception"), "{shown}");
    }
    let shown = configs(&node, &[&["--describe"], &both[..]].concat());
    let expected = "for the default user-principal, the default client-id are controller_mutation_rate=0.5";
    assert!(shown.contains(expected), "{shown}");

    configs(&node, &[&["--alter", "--delete-config", "producer_byte_rate"], &client[..]].concat());
    let shown = configs(&node, &[&["--describe"], &client[..]].concat());
    assert!(shown.contains("consumer_byte_rate=2048.0") && !shown.contains("producer_byte_rate"), "{shown}");
}

#[test]
fn the_performance_producer_is_throttled() {
    let node = Node::start();
    node.wire().create_topic("perf", 1, &[]).expect("a topic");
    configs(
        &node,
        &["--alter", "--add-config", "producer_byte_rate=50000", "--entity-type", "clients", "--entity-name", "perf"],
    );
    // 750 kB: half a million may come at once, the rest takes five seconds.
    let bootstrap = format!("bootstrap.servers={}", node.bootstrap());
    let arguments = [
        "--topic",
        "perf",
        "--num-records",
        "750",
        "--record-size",
        "1000",
        "--throughput",
        "-1",
        "--print-metrics",
        "--producer-props",
        &bootstrap,
        "client.id=perf",
        "batch.size=20000",
    ];
    let printed = run(kafka_tool("org.apache.kafka.tools.ProducerPerformance", arguments), b"").ok();
    assert!(printed.contains("750 records sent"), "{printed}");
    let line = printed.lines().find(|line| line.contains("produce-throttle-time-max")).expect("the metric");
    let throttle_ms: f64 = line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number");
    assert!(throttle_ms > 0.0, "{line}");
}

/// Remembers the longest throttle time that librdkafka was told, and how many records were acknowledged.
#[derive(Clone, Default)]
struct Throttles(Arc<Mutex<(i64, usize)>>);

impl ClientContext for Throttles {
    fn stats(&self, statistics: Statistics) {
        let told = statistics.brokers.values().filter_map(|broker| Some(broker.throttle.as_ref()?.max)).max();
        let mut seen = self.0.lock().expect("no panic in a callback");
        seen.0 = seen.0.max(told.unwrap_or_default());
    }
}

impl ProducerContext for Throttles {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.lock().expect("no panic in a callback").1 += usize::from(result.is_ok());
    }
}

#[test]
fn librdkafka_hears_of_its_throttle_time_and_loses_nothing() {
    const RECORDS: usize = 60;
    let node = Node::start();
    node.wire().create_topic("t", 1, &[]).expect("a topic");
    configs(
        &node,
        &["--alter", "--add-config", "producer_byte_rate=30000", "--entity-type", "clients", "--entity-default"],
    );
    let throttles = Throttles::default();
    let producer: ThreadedProducer<Throttles> = ClientConfig::new()
        .set("bootstrap.servers", node.bootstrap())
        .set("statistics.interval.ms", "200")
        .set("linger.ms", "0")
        .set("batch.num.messages", "1")
        .create_with_context(throttles.clone())
        .expect("a producer");
    let payload = vec![b'x'; 8_000];
    for _ in 0..RECORDS {
        let record: BaseRecord<'_, (), Vec<u8>> = BaseRecord::to("t").partition(0).payload(&payload);
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
    }
    producer.flush(Duration::from_secs(60)).expect("everything is sent");
    eventually("a throttle time in the statistics", || (throttles.0.lock().ok()?.0 > 0).then_some(()));
    assert_eq!(throttles.0.lock().expect("no panic in a callback").1, RECORDS);
    assert_eq!(node.wire().list_offset("t", 0, -1).expect("an offset").offset, RECORDS as i64);
}
