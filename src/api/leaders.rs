//! Who leads instead, for responses that say "not me" (KIP-951).

use std::collections::BTreeSet;

use super::RequestContext;
use crate::error::ErrorCode;
use crate::ids::{BrokerId, LeaderEpoch};
use crate::replication::Partition;

/// Where a leader is reached, on the listener that was asked.
pub(super) struct LeaderEndpoint {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

/// Collects the leaders that a response names, so that it can say once where each is reached.
pub(super) struct CurrentLeaders<'a> {
    cx: &'a RequestContext,
    named: BTreeSet<BrokerId>,
}

impl<'a> CurrentLeaders<'a> {
    pub(super) fn new(cx: &'a RequestContext) -> Self {
        Self { cx, named: BTreeSet::new() }
    }

    /// The leader and epoch of the partition, where `code` says that the client is at the wrong place.
    pub(super) fn hint(&mut self, code: ErrorCode, replica: Option<&Partition>) -> Option<(BrokerId, LeaderEpoch)> {
        if !matches!(code, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
            return None;
        }
        let (leader, epoch) = replica?.leader();
        let leader = leader?;
        self.named.insert(leader);
        Some((leader, epoch))
    }

    pub(super) fn into_endpoints(self) -> impl Iterator<Item = LeaderEndpoint> {
        let image = self.cx.services().metadata.current();
        let listener = self.cx.connection.listener.name.clone();
        self.named.into_iter().filter_map(move |id| {
            let broker = image.brokers.get(&id)?;
            let endpoint = broker.endpoint(&listener)?;
            Some(LeaderEndpoint { id, host: endpoint.host.clone(), port: endpoint.port, rack: broker.rack.clone() })
        })
    }
}
