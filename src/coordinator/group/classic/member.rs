//! One member of a classic group.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::coordinator::ReplyTo;

/// What the coordinator calls a member: the client id (or the instance id) and a random part.
pub type MemberId = Arc<str>;
/// What a static member calls itself (`group.instance.id`, KIP-345).
pub type InstanceId = Arc<str>;

/// One way of assigning that a member can take part in, as the client writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: Arc<str>,
    /// For consumers: the subscription.
    pub metadata: Bytes,
}

/// What a member can take part in, the best first. A name appears once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocols(Arc<[Protocol]>);

impl Protocols {
    /// Of a name that comes twice the first counts.
    pub fn new(listed: impl IntoIterator<Item = Protocol>) -> Self {
        let mut names = std::collections::BTreeSet::new();
        Self(listed.into_iter().filter(|protocol| names.insert(Arc::clone(&protocol.name))).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Protocol> {
        self.0.iter()
    }

    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().map(|protocol| &protocol.name)
    }

    /// What the member says about itself under this protocol.
    pub fn metadata(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|protocol| &*protocol.name == name).map(|protocol| &protocol.metadata)
    }
}

/// A member that has joined; one that was only given an id is not yet one.
#[derive(Clone, Debug)]
pub struct Member {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub client_id: Arc<str>,
    /// As Kafka writes addresses: `/127.0.0.1`.
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocols: Protocols,
    /// Empty where the leader gave nothing.
    pub assignment: Bytes,
    /// The JoinGroup request that waits for the others.
    pub(super) join_waiter: Option<ReplyTo>,
    /// The SyncGroup request that waits for the leader.
    pub(super) sync_waiter: Option<ReplyTo>,
    /// The first join has not been answered: the client does not know its id, and sends no heartbeat.
    pub(super) is_new: bool,
    /// Silent until then, the member is removed.
    pub(super) session_deadline: Duration,
}

impl Member {
    pub fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    pub(super) fn awaits_join(&self) -> bool {
        self.join_waiter.is_some()
    }

    /// Whether a request that waits stands for the member's life. Not for a new member: its connection may be gone, and
    /// its next try would come as another member.
    fn is_vouched_for(&self) -> bool {
        !self.is_new && (self.join_waiter.is_some() || self.sync_waiter.is_some())
    }

    /// When the member has to be looked at again.
    pub(super) fn expires_at(&self) -> Option<Duration> {
        (!self.is_vouched_for()).then_some(self.session_deadline)
    }
}

/// A timeout of the wire, where nothing keeps a client from sending a negative one.
pub(super) fn timeout(timeout_ms: i32) -> Duration {
    Duration::from_millis(timeout_ms.max(0) as u64)
}
