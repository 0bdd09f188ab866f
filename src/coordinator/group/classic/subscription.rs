//! Which topics a group of consumers reads: the one thing that the coordinator takes from what members say.
//!
//! ```text
//! subscription: version i16 │ topics: count i32, then each length i16 and name │ what later versions add
//! ```
//!
//! Every version begins as version 0 does, so none has to be known.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Buf;

use super::group::ClassicGroup;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// Each name once, however many members subscribe to it.
pub(super) type SubscribedTopics = HashSet<Box<str>>;

impl ClassicGroup {
    /// Whether these are Kafka consumers, whose subscriptions can be read.
    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Looks at what the members subscribe to: once a generation, for what they say when they join the next one counts
    /// only then.
    pub(super) fn take_in_subscriptions(&mut self) {
        self.subscribed_topics = self.read_subscriptions().map(Arc::new);
    }

    /// `None` where it can't be known: the members are no consumers, agreed on no protocol, or say something else.
    fn read_subscriptions(&self) -> Option<SubscribedTopics> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = SubscribedTopics::new();
        for member in self.members.values() {
            read_topics(member.protocols.metadata(self.protocol_name.as_deref()?)?, &mut topics)?;
        }
        Some(topics)
    }
}

fn read_topics(mut subscription: &[u8], topics: &mut SubscribedTopics) -> Option<()> {
    let _version = subscription.try_get_i16().ok()?;
    let count = subscription.try_get_i32().ok()?;
    for _ in 0..count.max(0) {
        let length = usize::try_from(subscription.try_get_i16().ok()?).ok()?;
        let name = std::str::from_utf8(subscription.get(..length)?).ok()?;
        if !topics.contains(name) {
            topics.insert(name.into());
        }
        subscription.advance(length);
    }
    Some(())
}
