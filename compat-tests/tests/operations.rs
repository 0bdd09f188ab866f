//! What an operator sees of a running `ottla`: its first line, its admin port, its memory, its end.

use anyhow::Result;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::{Node, http, only_ottla};

#[test]
fn the_banner_says_where_and_what() {
    if only_ottla() {
        return;
    }
    let node = Node::start();
    let port = node.port().to_string();
    let directory = node.log_dir().display().to_string();
    // It is written once the listeners are open, and may come after the first answer.
    eventually("version, listeners and directory in one line", || {
        let output = node.output();
        let banner = output.lines().find(|line| line.contains(&port) && line.contains(&directory))?;
        banner.contains("0.1.0").then_some(())
    });
}

#[test]
fn health_and_metrics_are_served() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("measured", 1, &[])?;
    wire.append("measured", 0, &Batch::of_values(&["a", "b", "c"]).encode())?;
    wire.fetch("measured", 0, 0)?;
    let admin = node.admin_address();
    assert_eq!(http::get(&admin, "/healthz")?.0, 200);
    assert_eq!(http::get(&admin, "/readyz")?.0, 200);
    let page = eventually("the append is counted", || {
        let (status, page) = http::get(&admin, "/metrics").ok()?;
        assert_eq!(status, 200);
        let counted = page.lines().any(|line| {
            line.starts_with("kafka_server_brokertopicmetrics_messagesin_total")
                && line.contains("measured")
                && line.ends_with(" 3")
        });
        counted.then_some(page)
    });
    for name in ["kafka_network_requestmetrics_", "process_resident_memory_bytes", "kafka_log_log_size"] {
        assert!(page.lines().any(|line| line.starts_with(name)), "{name} is not there:\n{page}");
    }
    assert_eq!(http::get(&admin, "/absent")?.0, 404);
    Ok(())
}

#[test]
fn a_thousand_partitions_come_back_and_stay_small() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = Node::start();
    let mut wire = node.wire();
    for topic in 0..10 {
        wire.create_topic(&format!("wide-{topic}"), 100, &[])?;
    }
    for topic in 0..10 {
        wire.append(&format!("wide-{topic}"), topic, &Batch::of_values(&["x"]).encode())?;
    }
    for stop in [Node::restart as fn(&mut Node), Node::kill_and_restart] {
        stop(&mut node);
        let mut wire = node.wire();
        for topic in 0..10 {
            assert_eq!(wire.list_offset(&format!("wide-{topic}"), topic, -1)?.offset, 1);
        }
    }
    assert!(node.rss_bytes() < 200 << 20, "{} bytes resident", node.rss_bytes());
    Ok(())
}

#[test]
fn idle_connections_are_closed_after_their_time() -> Result<()> {
    let node = Node::with(&[("connections.max.idle.ms", "1000")]);
    let mut idle = node.wire();
    idle.broker_ids()?;
    assert!(idle.read_frame()?.is_none(), "closed by the broker");
    assert_eq!(node.wire().broker_ids()?, [1]);
    Ok(())
}

#[test]
fn connections_beyond_the_limit_of_an_address_are_refused() -> Result<()> {
    let node = Node::with(&[("max.connections.per.ip", "5")]);
    eventually("the harness's own connections are gone and five are let in", || {
        let mut wires: Vec<_> = (0..5).map(|_| node.wire()).collect();
        wires.iter_mut().all(|wire| wire.broker_ids().is_ok()).then(|| {
            let mut sixth = node.wire();
            assert!(sixth.broker_ids().is_err(), "the sixth");
        })
    });
    eventually("room again once the five are gone", || node.wire().broker_ids().ok());
    Ok(())
}
