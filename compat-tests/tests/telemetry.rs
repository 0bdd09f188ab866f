//! Client telemetry (KIP-714): subscriptions made with Kafka's tool, metrics pushed by unmodified clients and by hand.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use kafka_protocol::messages::get_telemetry_subscriptions_response::GetTelemetrySubscriptionsResponse;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    GetTelemetrySubscriptionsRequest, IncrementalAlterConfigsRequest, PushTelemetryRequest,
};
use ottla_compat_tests::tool::{kafka_tool, run};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, text};
use ottla_compat_tests::{Node, http, only_ottla};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use uuid::Uuid;

const INVALID_REQUEST: i16 = 42;
const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const INVALID_RECORD: i16 = 87;
const THROTTLING_QUOTA_EXCEEDED: i16 = 89;
const UNKNOWN_SUBSCRIPTION_ID: i16 = 117;
const TELEMETRY_TOO_LARGE: i16 = 118;

const CLIENT_METRICS: i8 = 16;

fn subscribe(wire: &mut Wire, name: &str, settings: &[(&str, &str)]) -> Result<()> {
    let config = |(key, value): &(&str, &str)| {
        AlterableConfig::default().with_name(text(key)).with_config_operation(0).with_value(Some(text(value)))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(CLIENT_METRICS)
        .with_resource_name(text(name))
        .with_configs(settings.iter().map(config).collect());
    let response = wire.call(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]))?;
    assert_eq!(response.responses[0].error_code, 0, "{:?}", response.responses[0].error_message);
    Ok(())
}

fn ask(wire: &mut Wire, instance: Uuid) -> Result<GetTelemetrySubscriptionsResponse> {
    wire.call(0, &GetTelemetrySubscriptionsRequest::default().with_client_instance_id(instance))
}

fn metrics_of(told: &GetTelemetrySubscriptionsResponse) -> Vec<String> {
    let mut metrics: Vec<_> = told.requested_metrics.iter().map(ToString::to_string).collect();
    metrics.sort();
    metrics
}

fn push_of(told: &GetTelemetrySubscriptionsResponse) -> PushTelemetryRequest {
    PushTelemetryRequest::default()
        .with_client_instance_id(told.client_instance_id)
        .with_subscription_id(told.subscription_id)
}

fn push(wire: &mut Wire, request: &PushTelemetryRequest) -> Result<i16> {
    Ok(wire.call(0, request)?.error_code)
}

/// The value of a series of `/metrics`; 0 where it is not there.
fn metric(node: &Node, series: &str) -> f64 {
    let (_, page) = http::get(&node.admin_address(), "/metrics").expect("the page");
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

#[test]
fn a_client_is_told_what_the_subscriptions_that_match_want() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let mut wire = node.wire();
    let nothing = ask(&mut wire, Uuid::nil())?;
    assert_eq!((nothing.error_code, nothing.push_interval_ms), (0, 300_000));
    assert!(!nothing.client_instance_id.is_nil() && nothing.requested_metrics.is_empty());
    assert_eq!(nothing.accepted_compression_types, [4, 3, 1, 2], "zstd, lz4, gzip, snappy");
    assert_eq!((nothing.telemetry_max_bytes, nothing.delta_temporality), (1_048_576, true));

    subscribe(&mut wire, "a", &[("metrics", "m.one,m.two"), ("interval.ms", "5000"), ("match", "client_id=comp.*")])?;
    subscribe(
        &mut wire,
        "b",
        &[("metrics", "m.three"), ("interval.ms", "2000"), ("match", "client_source_address=127.*")],
    )?;
    subscribe(&mut wire, "c", &[("metrics", "*"), ("match", "client_id=other")])?;
    let told = ask(&mut wire, nothing.client_instance_id)?;
    assert_eq!(told.error_code, 0, "a change is told at once");
    assert_eq!(told.client_instance_id, nothing.client_instance_id);
    assert_ne!(told.subscription_id, nothing.subscription_id);
    assert_eq!(
        (metrics_of(&told), told.push_interval_ms),
        (vec!["m.one".into(), "m.three".into(), "m.two".into()], 2_000)
    );
    let again = ask(&mut wire, told.client_instance_id)?;
    assert_eq!(again.error_code, THROTTLING_QUOTA_EXCEEDED, "not before the interval is over");
    subscribe(&mut wire, "c", &[("match", "")])?;
    assert_eq!(metrics_of(&ask(&mut wire, told.client_instance_id)?), ["*"]);
    Ok(())
}

#[test]
fn pushes_are_checked_one_by_one() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::with(&[("telemetry.max.bytes", "1000")]);
    let mut wire = node.wire();
    subscribe(&mut wire, "all", &[("metrics", "*"), ("interval.ms", "3600000")])?;
    let fresh = |wire: &mut Wire| -> Result<PushTelemetryRequest> {
        let told = ask(wire, Uuid::nil())?;
        assert_eq!((told.error_code, told.telemetry_max_bytes), (0, 1_000));
        Ok(push_of(&told))
    };
    let request = fresh(&mut wire)?;
    assert_eq!(push(&mut wire, &request)?, 0);
    assert_eq!(push(&mut wire, &request)?, THROTTLING_QUOTA_EXCEEDED);
    assert_eq!(push(&mut wire, &request.clone().with_terminating(true))?, 0, "last words may come at any time");
    assert_eq!(push(&mut wire, &request)?, INVALID_REQUEST, "they were the last");

    for instance in [Uuid::nil(), Uuid::from_u128(1)] {
        let nobody = fresh(&mut wire)?.with_client_instance_id(instance);
        assert_eq!(push(&mut wire, &nobody)?, INVALID_REQUEST);
    }
    let mut lost = fresh(&mut wire)?;
    lost.subscription_id ^= 1;
    assert_eq!(push(&mut wire, &lost)?, UNKNOWN_SUBSCRIPTION_ID);
    let told = ask(&mut wire, lost.client_instance_id)?;
    assert_eq!(told.error_code, 0, "it may ask again at once");
    assert_eq!(push(&mut wire, &push_of(&told).with_terminating(true))?, 0);

    let cases: [(i8, Bytes, i16); 6] = [
        (5, Bytes::new(), UNSUPPORTED_COMPRESSION_TYPE),
        (-1, Bytes::new(), UNSUPPORTED_COMPRESSION_TYPE),
        (0, vec![0; 1_001].into(), TELEMETRY_TOO_LARGE),
        (0, Bytes::from_static(&[0x0a, 5, 0]), INVALID_RECORD),
        (1, Bytes::from_static(b"no gzip"), INVALID_RECORD),
        // A megabyte of nothing within a thousand bytes of zstd is more than a client may push.
        (4, zeros_in_zstd(1 << 20), TELEMETRY_TOO_LARGE),
    ];
    for (compression, metrics, code) in cases {
        let request = fresh(&mut wire)?.with_compression_type(compression).with_metrics(metrics);
        assert_eq!(push(&mut wire, &request)?, code, "{compression}");
    }
    assert!(metric(&node, "ottla_client_telemetry_refused_total") >= 10.0);
    Ok(())
}

/// A zstd frame with one run-length block for each 128 KiB.
fn zeros_in_zstd(bytes: usize) -> Bytes {
    const BLOCK: usize = 128 * 1024;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for block in 0..bytes / BLOCK {
        let is_last = usize::from((block + 1) * BLOCK >= bytes);
        let header = (BLOCK << 3) | 1 << 1 | is_last;
        frame.extend_from_slice(&(header as u32).to_le_bytes()[..3]);
        frame.push(0);
    }
    frame.into()
}

/// One gauge: `name` with the number 42.
fn gauge(name: &str) -> Bytes {
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let point = [&[4 << 3 | 1][..], &42.0_f64.to_le_bytes()].concat();
    let metric = [field(1, name.as_bytes()), field(5, &field(1, &point))].concat();
    field(1, &field(2, &field(2, &metric))).into()
}

#[test]
fn what_is_pushed_is_on_the_metrics_page() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let mut wire = node.wire();
    let told = ask(&mut wire, Uuid::nil())?;
    assert_eq!(push(&mut wire, &push_of(&told).with_metrics(gauge("my.gauge")))?, 0);
    let count = |series: &str| metric(&node, series) as u64;
    assert_eq!(count("ottla_client_telemetry_value{metric=\"my.gauge\",clientId=\"compat\"}"), 42);
    assert_eq!(count("ottla_client_telemetry_pushes_total"), 1);
    assert_eq!(count("ottla_client_telemetry_datapoints_total"), 1);
    assert_eq!(count("ottla_client_telemetry_instances"), 1);
    Ok(())
}

fn client_metrics(node: &Node, arguments: &[&str]) -> String {
    let bootstrap = node.bootstrap();
    let server = ["--bootstrap-server", &bootstrap];
    run(kafka_tool("org.apache.kafka.tools.ClientMetricsCommand", server.iter().chain(arguments)), b"").ok()
}

#[test]
fn the_java_client_pushes_to_a_subscription_of_kafkas_tool() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    node.wire().create_topic("t", 1, &[])?;
    client_metrics(
        &node,
        &[
            "--alter",
            "--name",
            "perf",
            "--metrics",
            "org.apache.kafka.producer.",
            "--interval",
            "500",
            "--match",
            "client_id=perf",
        ],
    );
    assert_eq!(client_metrics(&node, &["--list"]).trim(), "perf");
    let shown = client_metrics(&node, &["--describe", "--name", "perf"]);
    assert!(shown.contains("interval.ms=500") && shown.contains("match=client_id=perf"), "{shown}");
    let bootstrap = format!("bootstrap.servers={}", node.bootstrap());
    let arguments = [
        "--topic",
        "t",
        "--num-records",
        "300",
        "--record-size",
        "10",
        "--throughput",
        "100",
        "--producer-props",
        &bootstrap,
        "client.id=perf",
    ];
    run(kafka_tool("org.apache.kafka.tools.ProducerPerformance", arguments), b"").ok();
    // The client pushes while it runs and, whatever the interval, when it closes.
    assert!(metric(&node, "ottla_client_telemetry_pushes_total") >= 1.0);
    let (_, page) = http::get(&node.admin_address(), "/metrics")?;
    let series = page.lines().find(|line| {
        line.starts_with("ottla_client_telemetry_value{metric=\"org.apache.kafka.producer.")
            && line.contains("clientId=\"perf\"")
    });
    series.with_context(|| page.clone())?;
    client_metrics(&node, &["--delete", "--name", "perf"]);
    assert_eq!(client_metrics(&node, &["--list"]).trim(), "");
    Ok(())
}

#[test]
fn librdkafka_pushes_what_is_asked_for() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    subscribe(
        &mut wire,
        "rd",
        &[("metrics", "*"), ("interval.ms", "300"), ("match", "client_software_name=.*rdkafka.*")],
    )?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", node.bootstrap())
        .set("client.id", "rd")
        .set("enable.metrics.push", "true")
        .create()?;
    eventually("librdkafka has pushed", || {
        let record: BaseRecord<'_, (), str> = BaseRecord::to("t").partition(0).payload("x");
        let _ = producer.send(record);
        producer.poll(Duration::from_millis(50));
        (metric(&node, "ottla_client_telemetry_datapoints_total") > 0.0).then_some(())
    });
    producer.flush(Duration::from_secs(30))?;
    Ok(())
}
