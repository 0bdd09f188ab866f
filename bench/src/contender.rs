//! The two brokers, each with what it ships.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::{Node, Peer};

/// The same for both: what a topic leaves behind goes soon, so that a round finds the disk as the one before it; and every
/// idle consumer finds room for its fetch session.
const PROPERTIES: [(&str, &str); 2] =
    [("log.segment.delete.delay.ms", "1000"), ("max.incremental.fetch.session.cache.slots", "2000")];

/// How long a broker that has just started is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

pub struct Contender {
    pub peer: Peer,
    pub node: Node,
    pub idle_rss_bytes: u64,
}

impl Contender {
    /// Starts a broker on an empty directory.
    pub fn start(peer: Peer) -> Self {
        Self::with(peer, &[])
    }

    /// As [`Contender::start`], with further properties.
    pub fn with(peer: Peer, properties: &[(&str, &str)]) -> Self {
        let node = Node::of(peer, |_| (), &[&PROPERTIES, properties].concat());
        thread::sleep(SETTLE);
        let idle_rss_bytes = node.rss_bytes();
        Self { peer, node, idle_rss_bytes }
    }

    pub fn name(&self) -> &'static str {
        match self.peer {
            Peer::Ottla => "Ottla",
            Peer::Kafka | Peer::OldKafka { .. } => "Kafka",
        }
    }

    /// Creates a topic; Ottla's `flush.before.ack` is nothing that Kafka has.
    pub fn create_topic(
        &self,
        topic: &str,
        partitions: i32,
        flush_before_ack: bool,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let flush = [("flush.before.ack", if flush_before_ack { "true" } else { "false" })];
        let own: &[(&str, &str)] = match self.peer {
            Peer::Ottla => &flush,
            Peer::Kafka | Peer::OldKafka { .. } => &[],
        };
        self.node.wire().create_topic(topic, partitions, &[own, configs].concat())
    }

    /// Deletes a topic and waits until its files are gone.
    pub fn delete_topic(&self, topic: &str) -> Result<()> {
        self.node.wire().delete_topic(topic)?;
        eventually("the files of a deleted topic are gone", || {
            let left = std::fs::read_dir(self.node.log_dir()).ok()?;
            let is_of_topic =
                |name: &str| name.starts_with(&format!("{topic}-")) || name.starts_with(&format!("{topic}."));
            let any = left.flatten().any(|entry| is_of_topic(&entry.file_name().to_string_lossy()));
            (!any).then_some(())
        });
        Ok(())
    }
}

/// Seconds from the start of the process on an empty directory to its first answer, the least of a few.
pub fn ready_after(peer: Peer, times: usize) -> Duration {
    let starts = (0..times).map(|_| Node::of(peer, |_| (), &PROPERTIES).ready_after());
    starts.min().unwrap_or_default()
}
