//! Requests that are legal and ask for more than they cost: what names little must not make the broker say, keep or
//! do much. And the admin port.

use std::io::Write;

use anyhow::{Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData};
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource as ChangedResource;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterConfigsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    FetchRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest, MetadataRequest, ProduceRequest,
};
use ottla_compat_tests::siege::{alone, besiege};
use ottla_compat_tests::wire::{encode, fetch_partition, name, text};
use ottla_compat_tests::{Node, http, only_ottla, rough};

const LIMIT_BYTES: u64 = 200 << 20;

#[test]
fn naming_something_often_costs_as_much_as_naming_it_once() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    node.wire().create_topic("wide", 1000, &[])?;
    besiege("a topic named 20,000 times", &mut node, LIMIT_BYTES, |node| {
        let mut wire = node.wire();
        let wide = MetadataRequestTopic::default().with_name(Some(name("wide")));
        let topics = Some(vec![wide; 20_000]);
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        ensure!(wire.call(12, &request)?.topics.len() == 1, "each once");
        for broker in ["1", "+1", "01"] {
            let resource = DescribeConfigsResource::default().with_resource_type(4).with_resource_name(text(broker));
            let resource = resource.with_configuration_keys(None);
            let request = DescribeConfigsRequest::default().with_resources(vec![resource; 20_000]);
            let request = request.with_include_documentation(true).with_include_synonyms(true);
            ensure!(wire.call(4, &request)?.results.len() == 1, "each once");
        }
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("group"); 100_000]);
        ensure!(wire.call(4, &request)?.coordinators.len() == 1, "each once");
        // Refused each, and in a time that grows with their number, not with its square.
        let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("wide"));
        let request = AlterConfigsRequest::default().with_resources(vec![resource; 200_000]);
        ensure!(wire.call(1, &request)?.responses.iter().all(|answer| answer.error_code == 42), "INVALID_REQUEST");
        let logger = ChangedResource::default().with_resource_type(8).with_resource_name(text("1"));
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![logger; 100_000]);
        ensure!(wire.call(1, &request)?.responses.iter().all(|answer| answer.error_code == 42), "INVALID_REQUEST");
        let entity = |number: usize| {
            let part = EntityData::default().with_entity_type(text("nobody"));
            EntryData::default().with_entity(vec![part.with_entity_name(Some(text(&number.to_string())))])
        };
        let entries = (0..100_000).map(|number| entity(number / 2)).collect();
        let answer = wire.call(1, &AlterClientQuotasRequest::default().with_entries(entries))?;
        ensure!(answer.entries.len() == 50_000, "each once");
        Ok(())
    })
}

/// Groups and subscriptions to metrics can be described before they exist: ten bytes ask for thousands.
#[test]
fn what_does_not_exist_is_described_within_bounds() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    besiege("300,000 groups described", &mut node, 300 << 20, |node| {
        let group = |number: usize| {
            let resource = DescribeConfigsResource::default().with_resource_type(32);
            resource.with_resource_name(text(&number.to_string())).with_configuration_keys(None)
        };
        let request = DescribeConfigsRequest::default()
            .with_resources((0..300_000).map(group).collect())
            .with_include_documentation(true)
            .with_include_synonyms(true);
        let answer = node.wire().call(4, &request)?;
        ensure!(answer.results.len() == 300_000, "each is answered");
        let described = answer.results.iter().filter(|result| result.error_code == 0).count();
        ensure!((1000..30_000).contains(&described), "{described} are described");
        let refused = &answer.results[described];
        ensure!(refused.error_code == 42 && refused.configs.is_empty(), "INVALID_REQUEST");
        let why = refused.error_message.as_deref().unwrap_or_default();
        ensure!(why.contains("would be too large"), "{why}");
        Ok(())
    })
}

#[test]
fn requests_of_many_topics_are_answered_within_bounds() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    besiege("requests of 100,000 topics", &mut node, LIMIT_BYTES, |node| {
        let mut wire = node.wire();
        let names = || (0..100_000).map(|number| format!("t{number}"));
        let topics = names().map(|topic| MetadataRequestTopic::default().with_name(Some(name(&topic)))).collect();
        let request = MetadataRequest::default().with_topics(Some(topics)).with_allow_auto_topic_creation(false);
        ensure!(wire.call(12, &request)?.topics.len() == 100_000, "all of them unknown");
        let topics = names()
            .map(|topic| FetchTopic::default().with_topic(name(&topic)).with_partitions(vec![fetch_partition(0, 0)]));
        let request = FetchRequest::default()
            .with_max_wait_ms(i32::MAX)
            .with_min_bytes(1)
            .with_topics(topics.take(50_000).collect());
        ensure!(wire.call(12, &request)?.responses.len() == 50_000, "all of them unknown");
        let topics = names().map(|topic| {
            CreatableTopic::default().with_name(name(&topic)).with_num_partitions(1).with_replication_factor(1)
        });
        let request = CreateTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(1000);
        let answer = wire.call(7, &request)?;
        ensure!(answer.topics.iter().all(|topic| topic.error_code == 44), "POLICY_VIOLATION");
        let request = DeleteTopicsRequest::default().with_topic_names(names().map(|topic| name(&topic)).collect());
        ensure!(wire.call(5, &request)?.responses.iter().all(|topic| topic.error_code == 3), "unknown");
        Ok(())
    })
}

/// Six bytes for a partition without records, a hundred times as much once it is decoded and answered.
#[test]
fn a_produce_request_has_a_bounded_number_of_parts() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    besiege("Produce with 2,000,000 partitions", &mut node, LIMIT_BYTES, |node| {
        let request = |partitions: usize| {
            let data = PartitionProduceData::default().with_records(Some(Bytes::new()));
            let topic =
                TopicProduceData::default().with_name(name("absent")).with_partition_data(vec![data; partitions]);
            ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic])
        };
        let answer = node.wire().call(9, &request(40_000))?;
        ensure!(answer.responses[0].partition_responses.len() == 40_000, "each is answered");
        let frame = encode(0, 9, &request(2_000_000))?;
        let mut wires: Vec<_> = (0..4).map(|_| node.wire()).collect();
        for wire in &mut wires {
            wire.send_frame(&frame)?;
        }
        for wire in &mut wires {
            ensure!(wire.read_frame()?.is_none(), "closed");
        }
        Ok(())
    })
}

#[test]
fn fetch_sessions_by_the_thousand_are_bounded() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    node.wire().create_topic("session", 1, &[])?;
    besiege("2,000 fetch sessions of 2,000 partitions", &mut node, LIMIT_BYTES, |node| {
        let partitions = (0..2000).map(|partition| fetch_partition(partition, 0)).collect();
        let topic = FetchTopic::default().with_topic(name("session")).with_partitions(partitions);
        let request = FetchRequest::default().with_session_epoch(0).with_max_bytes(1000).with_topics(vec![topic]);
        let frame = encode(0, 12, &request)?;
        let mut kept = 0;
        for _ in 0..20 {
            let mut wire = node.wire();
            for _ in 0..100 {
                wire.send_frame(&frame)?;
                let answer = wire.read_frame()?;
                // Behind the correlation id and the tags: throttle time, error code, session id.
                let answer = answer.ok_or_else(|| anyhow::anyhow!("an answer"))?;
                kept += usize::from(answer[11..15] != [0; 4]);
            }
        }
        ensure!((10..1000).contains(&kept), "{kept} sessions are kept");
        Ok(())
    })
}

/// A probe must get through, or whoever watches the broker would restart it.
#[test]
fn the_admin_port_answers_beside_those_who_only_hold_it() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    besiege("the admin port", &mut node, LIMIT_BYTES, |node| {
        let at = node.admin_address();
        let mut held = Vec::new();
        for number in 0..500 {
            let mut stream = rough::connect(&at)?;
            // Some say nothing, some never come to an end, some ask and do not read.
            let said: &[u8] = [&b""[..], b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"][number % 3];
            let _ = stream.write_all(said);
            held.push(stream);
            if number % 50 == 49 {
                ensure!(http::get(&at, "/healthz")?.0 == 200, "healthy beside {number} silent clients");
            }
        }
        let endless = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'x'; 100_000]].concat();
        let many = [&b"GET / HTTP/1.1\r\n"[..], &b"X: y\r\n".repeat(10_000)].concat();
        let mut next = rough::noise(3);
        for _ in 0..200 {
            rough::send_and_reset(&at, &endless)?;
            rough::send_and_reset(&at, &many)?;
            let noise: Vec<u8> = (0..next() % 300).map(|_| next() as u8).collect();
            rough::send_and_reset(&at, &noise)?;
        }
        ensure!(http::get(&at, "/readyz")?.0 == 200, "ready");
        Ok(())
    })
}
