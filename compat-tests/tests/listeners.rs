//! Several listeners, each with its name and advertised address.

use anyhow::{Context, Result};
use kafka_protocol::messages::{DescribeClusterRequest, MetadataRequest};
use ottla_compat_tests::Node;
use ottla_compat_tests::classic_member::{ClassicMember, coordinator, describe, form};
use ottla_compat_tests::librdkafka::{Sender, read_all};
use ottla_compat_tests::node::free_port;
use ottla_compat_tests::wire::Wire;

fn advertised(wire: &mut Wire) -> Result<Vec<(String, i32)>> {
    let response = wire.call(12, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
    let described = wire.call(0, &DescribeClusterRequest::default())?;
    let brokers: Vec<_> = response.brokers.iter().map(|broker| (broker.host.to_string(), broker.port)).collect();
    let same: Vec<_> = described.brokers.iter().map(|broker| (broker.host.to_string(), broker.port)).collect();
    assert_eq!(brokers, same, "DescribeCluster and Metadata agree");
    Ok(brokers)
}

/// Case 29: under the advertised names of the listener asked on.
#[test]
fn each_listener_shows_its_own_address() -> Result<()> {
    let outside = free_port();
    let node = Node::with(&[
        ("listeners", &format!("INSIDE://127.0.0.1:{{port}},OUTSIDE://127.0.0.1:{outside}")),
        ("advertised.listeners", "INSIDE://127.0.0.1:{port},OUTSIDE://kafka.example.org:19092"),
        ("listener.security.protocol.map", "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"),
        ("inter.broker.listener.name", "INSIDE"),
    ]);
    assert_eq!(advertised(&mut node.wire())?, [("127.0.0.1".to_owned(), i32::from(node.port()))]);
    let mut wire = Wire::connect(&format!("127.0.0.1:{outside}"))?;
    assert_eq!(advertised(&mut wire)?, [("kafka.example.org".to_owned(), 19092)]);
    Ok(())
}

#[test]
fn ipv6_is_served_and_advertised() -> Result<()> {
    let six = free_port();
    let node = Node::with(&[
        ("listeners", &format!("PLAINTEXT://127.0.0.1:{{port}},SIX://[::1]:{six}")),
        ("advertised.listeners", &format!("PLAINTEXT://127.0.0.1:{{port}},SIX://[::1]:{six}")),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,SIX:PLAINTEXT"),
    ]);
    node.wire().create_topic("six", 1, &[])?;
    let bootstrap = format!("[::1]:{six}");
    assert_eq!(advertised(&mut Wire::connect(&bootstrap)?)?, [("::1".to_owned(), i32::from(six))]);
    let sender = Sender::new(&bootstrap, &[("broker.address.family", "v6")]);
    sender.send("six", Some(0), "key", b"over IPv6");
    sender.finish_ok();
    assert_eq!(read_all(&node.bootstrap(), "six", 0).first().context("a record")?.key_text(), "key");
    Ok(())
}

#[test]
fn a_listener_on_every_address_is_advertised_as_configured() -> Result<()> {
    let node = Node::with(&[
        ("listeners", "PLAINTEXT://0.0.0.0:{port}"),
        ("advertised.listeners", "PLAINTEXT://127.0.0.1:{port}"),
    ]);
    assert_eq!(advertised(&mut node.wire())?, [("127.0.0.1".to_owned(), i32::from(node.port()))]);
    Ok(())
}

/// As Java, which knows such an address as the IPv4 address that it stands for.
#[test]
fn an_ipv4_client_of_a_listener_of_both_kinds_is_known_by_its_ipv4_address() -> Result<()> {
    let node = Node::with(&[
        ("listeners", "PLAINTEXT://[::]:{port}"),
        ("advertised.listeners", "PLAINTEXT://127.0.0.1:{port}"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]);
    let mut wire = coordinator(&node, "g");
    let mut members = [ClassicMember::new(&node, "g")];
    form(&mut members)?;
    assert_eq!(&*describe(&mut wire, "g")?.members[0].client_host, "/127.0.0.1");
    Ok(())
}
