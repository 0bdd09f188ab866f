//! The page as a scraper sees it.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::error::ErrorCode;
use crate::ids::{BrokerId, Offset, TopicName};

/// The samples of a page by their line up to the value. Refuses what a strict parser would refuse.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut families = BTreeSet::new();
    let mut current = String::new();
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            current = rest.split(' ').next().unwrap().to_owned();
            assert!(families.insert(current.clone()), "{current} stands in two places");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(name == current || name.strip_suffix("_count") == Some(&current), "{line} under {current}");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} twice");
        }
    }
    samples
}

fn page_of(metrics: &Metrics) -> BTreeMap<String, f64> {
    parse(&metrics.render(&Snapshot::default()))
}

fn partition(topic: &str) -> PartitionSnapshot {
    PartitionSnapshot {
        topic: topic.into(),
        partition: 0,
        is_leader: true,
        leader: Some(BrokerId(1)),
        preferred_leader: Some(BrokerId(1)),
        replicas: 1,
        in_sync_replicas: 1,
        min_in_sync_replicas: 1,
        is_offline: false,
        size_bytes: 4096,
        segments: 2,
        log_start_offset: Offset(10),
        high_watermark: Offset(20),
        log_end_offset: Offset(21),
    }
}

#[test]
fn names_are_legal_and_each_stands_once() {
    let mut seen = BTreeSet::new();
    for family in names::ALL {
        let name = family.name;
        assert!(seen.insert(name), "{name} twice");
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name}"
        );
        assert_eq!(name.ends_with("_total"), family.kind == names::Kind::Counter, "{name}");
        assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{name}");
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let dashboard = include_str!("../../grafana/ottla.json");
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let asked: BTreeSet<_> = dashboard
        .split(|character| !is_name(character))
        .filter(|word| ["kafka_", "ottla_", "process_"].iter().any(|prefix| word.starts_with(prefix)))
        .collect();
    assert!(asked.len() > 20, "{asked:?}");
    for name in asked {
        let known = |name| names::ALL.iter().any(|family| family.name == name);
        assert!(known(name) || name.strip_suffix("_count").is_some_and(known), "{name}");
    }
}

#[test]
fn the_page_of_an_idle_broker_is_well_formed() {
    let page = page_of(&Metrics::new());
    assert_eq!(page["kafka_server_brokertopicmetrics_messagesin_total"], 0.0);
    assert_eq!(page["kafka_controller_kafkacontroller_activecontrollercount"], 0.0);
    assert_eq!(page["kafka_server_replicamanager_isrshrinks_total"], 0.0);
    assert!(page["process_open_fds"] > 0.0);
    assert!(page["process_resident_memory_bytes"] > 0.0);
}

#[test]
fn a_topic_has_its_series_and_a_total() {
    let metrics = Metrics::new();
    let (a, b): (TopicName, TopicName) = ("a".into(), "b".into());
    let (topic_a, topic_b) = (metrics.topics.topic(&a), metrics.topics.topic(&b));
    topic_a.bytes_in.add(100);
    topic_b.bytes_in.add(20);
    metrics.topics.topic(&a).bytes_in.add(1);
    metrics.topics.without_topic.bytes_in.add(4);
    let name = "kafka_server_brokertopicmetrics_bytesin_total";
    let page = page_of(&metrics);
    assert_eq!(page[name], 125.0);
    assert_eq!(page[&format!("{name}{{topic=\"a\"}}")], 101.0);
    assert_eq!(page[&format!("{name}{{topic=\"b\"}}")], 20.0);
}

#[test]
fn a_deleted_topic_leaves_the_page_and_not_the_total() {
    let metrics = Metrics::new();
    let name: TopicName = "gone".into();
    let handle = metrics.topics.topic(&name);
    let other_handle = metrics.topics.topic(&name);
    handle.messages_in.add(7);
    drop(handle);
    assert!(page_of(&metrics).contains_key("kafka_server_brokertopicmetrics_messagesin_total{topic=\"gone\"}"));
    drop(other_handle);
    let page = page_of(&metrics);
    assert!(!page.keys().any(|series| series.contains("gone")));
    assert_eq!(page["kafka_server_brokertopicmetrics_messagesin_total"], 7.0);

    let anew = metrics.topics.topic(&name);
    anew.messages_in.add(1);
    let page = page_of(&metrics);
    assert_eq!(page["kafka_server_brokertopicmetrics_messagesin_total{topic=\"gone\"}"], 1.0);
    assert_eq!(page["kafka_server_brokertopicmetrics_messagesin_total"], 8.0);
}

#[test]
fn totals_never_go_back_while_topics_come_and_go() {
    let metrics = Metrics::new();
    let name: TopicName = "t".into();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..5_000).for_each(|_| metrics.topics.topic(&name).bytes_out.add(1)));
        }
        let mut last = 0.0;
        while last < 10_000.0 {
            let mut out = Exposition::default();
            metrics.topics.render(&mut out);
            let total = parse(&out.into_text())["kafka_server_brokertopicmetrics_bytesout_total"];
            assert!(total >= last, "{total} after {last}");
            last = total;
        }
    });
}

#[test]
fn requests_errors_and_times_are_labelled_as_in_kafka() {
    let metrics = Metrics::new();
    let metadata = metrics.requests.api(3).unwrap();
    metadata.received(12, 64);
    metadata.received(12, 64);
    metadata.received(-3, 64);
    metadata.received(i16::MAX, 64);
    metadata.answered(ErrorCode::UnknownTopicOrPartition, 3);
    let ms = Duration::from_millis;
    metadata.completed(&RequestTimes {
        local: ms(1),
        remote: ms(2),
        response_send: ms(1),
        ..RequestTimes::default()
    });
    assert!(metrics.requests.api(-1).is_none() && metrics.requests.api(95).is_none());

    let page = page_of(&metrics);
    let requests = "kafka_network_requestmetrics_requests_total";
    assert_eq!(page[&format!("{requests}{{request=\"Metadata\",version=\"12\"}}")], 2.0);
    assert_eq!(page.keys().filter(|series| series.starts_with(requests)).count(), 1);
    let errors = "kafka_network_requestmetrics_errors_total{request=\"Metadata\",error=";
    assert_eq!(page[&format!("{errors}\"UNKNOWN_TOPIC_OR_PARTITION\"}}")], 3.0);
    let total = page["kafka_network_requestmetrics_totaltimems{request=\"Metadata\",quantile=\"0.50\"}"];
    assert!((total - 4.0).abs() < 0.5, "{total}");
    assert_eq!(page["kafka_network_requestmetrics_totaltimems_count{request=\"Metadata\"}"], 1.0);
    assert_eq!(page["kafka_network_requestmetrics_requestbytes_count{request=\"Metadata\"}"], 4.0);
}

#[test]
fn fetch_is_consumers_and_followers_together() {
    let metrics = Metrics::new();
    metrics.requests.api(1).unwrap().received(17, 10);
    metrics.requests.fetch_by_follower().received(17, 10);
    let page = page_of(&metrics);
    let of = |request| {
        page[&format!("kafka_network_requestmetrics_requests_total{{request=\"{request}\",version=\"17\"}}")]
    };
    assert_eq!((of("Fetch"), of("FetchConsumer"), of("FetchFollower")), (2.0, 1.0, 1.0));
    assert_eq!(page["kafka_network_requestmetrics_requestbytes_count{request=\"Fetch\"}"], 2.0);
}

#[test]
fn connections_are_counted_while_they_live() {
    let metrics = Metrics::new();
    let listener = metrics.network.listener("PLAINTEXT");
    metrics.upkeep(Duration::from_secs(5), None);
    let mut first = listener.connection();
    first.set_software("librdkafka", "2.10.0");
    first.set_software("with \"quotes\"", "1");
    let second = listener.connection();
    drop(second);
    listener.rejected();
    metrics.upkeep(Duration::from_secs(15), None);

    let page = page_of(&metrics);
    let of = |name: &str| page[&format!("kafka_server_socket_server_metrics_{name}")];
    let labels = "{listener=\"PLAINTEXT\",networkProcessor=\"0\"}";
    assert_eq!(of(&format!("connection_count{labels}")), 1.0);
    assert_eq!(of(&format!("connection_creation_total{labels}")), 2.0);
    assert_eq!(of(&format!("connection_creation_rate{labels}")), 0.2);
    assert_eq!(of(&format!("connection_close_rate{labels}")), 0.1);
    let software: Vec<_> = page.keys().filter(|series| series.contains("connections_software")).collect();
    assert_eq!(software.len(), 1);
    assert!(software[0].contains(r#"clientSoftwareName="with \"quotes\"""#), "{}", software[0]);
    assert_eq!(page["ottla_connections_rejected_total{listener=\"PLAINTEXT\"}"], 1.0);

    drop(first);
    assert!(!page_of(&metrics).keys().any(|series| series.contains("connections_software")));
}

#[test]
fn names_of_client_software_are_bounded() {
    let metrics = Metrics::new();
    let listener = metrics.network.listener("L");
    let connections: Vec<_> = (0..1_000)
        .map(|index| {
            let mut connection = listener.connection();
            connection.set_software(&"x".repeat(1_000), &index.to_string());
            connection
        })
        .collect();
    let page = page_of(&metrics);
    let software: Vec<_> = page.iter().filter(|(series, _)| series.contains("connections_software")).collect();
    assert_eq!(software.len(), 101);
    assert_eq!(software.iter().map(|(_, connections)| **connections).sum::<f64>(), 1_000.0);
    assert!(software.iter().all(|(series, _)| series.len() < 300));
    drop(connections);
    assert_eq!(listener.open(), 0);
}

#[test]
fn a_snapshot_gives_sums_and_series() {
    let mut degraded = partition("b");
    degraded.replicas = 3;
    degraded.in_sync_replicas = 1;
    degraded.min_in_sync_replicas = 2;
    let mut followed = partition("c");
    followed.is_leader = false;
    let snapshot = Snapshot {
        broker_state: BrokerState::Running,
        partitions: vec![partition("a"), degraded, followed],
        controller: Some(ControllerSnapshot {
            topics: 3,
            brokers: vec![(BrokerId(1), "here:9092".to_owned())],
            ..ControllerSnapshot::default()
        }),
        purgatories: vec![Purgatory { operation: "Fetch", waiting: 4 }],
        groups: GroupCounts { groups: 5, preparing_rebalance: 1, stable: 3, empty: 1, ..GroupCounts::default() },
        ..Snapshot::default()
    };
    let page = parse(&Metrics::new().render(&snapshot));
    assert_eq!(page["kafka_server_kafkaserver_brokerstate"], 3.0);
    let manager = |name: &str| page[&format!("kafka_server_replicamanager_{name}")];
    assert_eq!((manager("partitioncount"), manager("leadercount")), (3.0, 2.0));
    assert_eq!((manager("underreplicatedpartitions"), manager("underminisrpartitioncount")), (1.0, 1.0));
    assert_eq!(manager("atminisrpartitioncount"), 1.0);
    assert_eq!(page["kafka_log_log_size{topic=\"a\",partition=\"0\"}"], 4096.0);
    assert_eq!(page["kafka_cluster_partition_replicascount{topic=\"c\",partition=\"0\"}"], 0.0);
    assert_eq!(page["kafka_topic_partition_current_offset{topic=\"a\",partition=\"0\"}"], 20.0);
    assert!(!page.contains_key("kafka_topic_partition_current_offset{topic=\"c\",partition=\"0\"}"));
    assert_eq!(page["kafka_topic_partitions{topic=\"b\"}"], 1.0);
    assert_eq!(page["kafka_brokers"], 1.0);
    assert_eq!(page["kafka_broker_info{id=\"1\",address=\"here:9092\"}"], 1.0);
    assert_eq!(page["kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation=\"Fetch\"}"], 4.0);
    let groups = |name: &str| page[&format!("kafka_coordinator_group_groupmetadatamanager_numgroups{name}")];
    assert_eq!((groups(""), groups("preparingrebalance"), groups("stable")), (5.0, 1.0, 3.0));
    assert_eq!((groups("empty"), groups("completingrebalance"), groups("dead")), (1.0, 0.0, 0.0));
}

fn committed(topic: &str, partition: i32, offset: i64, readable: Option<(i64, i64)>) -> CommittedSnapshot {
    let readable = readable.map(|(start, end)| (Offset(start), Offset(end)));
    CommittedSnapshot { topic: topic.into(), partition, offset: Offset(offset), readable }
}

#[test]
fn lag_is_what_can_be_read_and_is_not_yet() {
    let committed = vec![
        committed("t", 0, 15, Some((10, 20))),
        committed("t", 1, 3, Some((10, 20))),
        committed("t", 2, 21, Some((10, 20))),
        committed("t", 3, 9, None),
    ];
    let groups = vec![GroupSnapshot { group_id: "a \"b\"".into(), members: 2, committed }];
    let group_offsets = GroupOffsetsSnapshot { offsets: 4, groups: Some(groups) };
    let text = Metrics::new().render(&Snapshot { group_offsets, ..Snapshot::default() });
    for line in [
        "kafka_coordinator_group_groupmetadatamanager_numoffsets 4",
        "kafka_consumergroup_members{consumergroup=\"a \\\"b\\\"\"} 2",
        "kafka_consumergroup_current_offset{consumergroup=\"a \\\"b\\\"\",topic=\"t\",partition=\"3\"} 9",
        "kafka_consumergroup_current_offset_sum{consumergroup=\"a \\\"b\\\"\",topic=\"t\"} 48",
        "kafka_consumergroup_lag{consumergroup=\"a \\\"b\\\"\",topic=\"t\",partition=\"0\"} 5",
        "kafka_consumergroup_lag{consumergroup=\"a \\\"b\\\"\",topic=\"t\",partition=\"1\"} 10",
        "kafka_consumergroup_lag{consumergroup=\"a \\\"b\\\"\",topic=\"t\",partition=\"2\"} 0",
        "kafka_consumergroup_lag_sum{consumergroup=\"a \\\"b\\\"\",topic=\"t\"} 15",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("kafka_consumergroup_lag{consumergroup=\"a \\\"b\\\"\",topic=\"t\",partition=\"3\"}"));
}

#[test]
fn too_many_offsets_leave_their_number() {
    let group_offsets = GroupOffsetsSnapshot { offsets: 20_000, groups: None };
    let text = Metrics::new().render(&Snapshot { group_offsets, ..Snapshot::default() });
    assert!(text.contains("20000 committed offsets") && !text.contains("kafka_consumergroup_lag"));
}

#[test]
fn too_many_partitions_leave_the_sums() {
    let snapshot = Snapshot { partitions: vec![partition("t"); 10_001], ..Snapshot::default() };
    let text = Metrics::new().render(&snapshot);
    assert!(text.len() < 50_000 && text.contains("10001 partitions"));
    assert_eq!(parse(&text)["kafka_server_replicamanager_partitioncount"], 10_001.0);
}

#[test]
fn every_counter_of_rare_events_is_on_the_page() {
    let metrics = Metrics::new();
    metrics.events.invalid_crc.increment(2);
    metrics.events.fetch_session_evictions.increment(1);
    let page = page_of(&metrics);
    assert_eq!(page["kafka_server_brokertopicmetrics_invalidmessagecrcrecords_total"], 2.0);
    assert_eq!(page["kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total"], 1.0);
}

#[test]
fn upkeep_turns_the_windows_every_twenty_seconds() {
    let metrics = Metrics::new();
    metrics.log_flush_time.record(500);
    let median =
        |metrics: &Metrics| page_of(metrics)["kafka_log_logflushstats_logflushrateandtimems{quantile=\"0.50\"}"];
    for seconds in [20, 25, 30, 40, 45] {
        metrics.upkeep(Duration::from_secs(seconds), None);
        assert!(median(&metrics) > 0.4);
    }
    metrics.upkeep(Duration::from_secs(60), None);
    assert!(median(&metrics).is_nan());
}

#[tokio::test]
async fn worker_idle_time_is_a_part_of_one() {
    let metrics = Metrics::new();
    let runtime = tokio::runtime::Handle::current().metrics();
    metrics.upkeep(Duration::from_secs(1), Some(&runtime));
    assert!(!page_of(&metrics).contains_key("kafka_network_socketserver_networkprocessoravgidle_percent"));
    metrics.upkeep(Duration::from_secs(2), Some(&runtime));
    let idle = page_of(&metrics)["kafka_network_socketserver_networkprocessoravgidle_percent"];
    assert!((0.0..=1.0).contains(&idle), "{idle}");
}
