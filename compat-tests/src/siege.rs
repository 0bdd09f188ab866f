//! An attack on a broker with a client beside it, and what both cost: memory, open files, the client's waits.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::bystander::Bystander;
use crate::node::Node;
use crate::wait::eventually;

/// Sockets of the bystander that come and go: it may have to connect again.
const SOCKETS_SLACK: usize = 4;
/// What the allocator keeps after an attack, since it returns only what lies at the end of its heaps.
const KEPT_BYTES: u64 = 180 << 20;

/// One attack at a time: the waits of one are not those that another causes.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attacks `node` beside a bystander. The broker must stay within `limit_bytes` of resident memory all the time, lose
/// nothing of the bystander's, and be afterwards as it was before. Prints a row: how long it took, the peak, what is
/// resident afterwards (MiB), and the bystander's waits (p50 / p99 / max in milliseconds) for acknowledgements and for
/// reads, each before and under the attack.
pub fn besiege(
    case: &str,
    node: &mut Node,
    limit_bytes: u64,
    attack: impl FnOnce(&Node) -> Result<()>,
) -> Result<()> {
    let bystander = Bystander::start(node);
    let (sockets, rss) = (node.open_sockets(), node.rss_bytes());
    node.reset_peak_rss();
    bystander.attack_begins();
    let begin = std::time::Instant::now();
    attack(node)?;
    let took = begin.elapsed();
    bystander.wait_for(200);
    assert!(node.is_running(), "the broker is gone");
    let peak = node.peak_rss_bytes();
    let (before, under) = bystander.finish();
    println!(
        "| {case} | {:.1} s | {} | {} | {} | {} | {} | {} |",
        took.as_secs_f64(),
        peak >> 20,
        node.rss_bytes() >> 20,
        before.ack,
        under.ack,
        before.read,
        under.read
    );
    eventually("connections are closed", || (node.open_sockets() <= sockets + SOCKETS_SLACK).then_some(()));
    eventually("memory is given back", || (node.rss_bytes() <= rss + KEPT_BYTES).then_some(()));
    assert!(peak <= limit_bytes, "{peak} bytes resident at the peak, {rss} before");
    Ok(())
}
