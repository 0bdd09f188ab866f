//! Which topics a group of consumers reads: the one thing that the coordinator takes from what members say.
//!
//! ```text
//! subscription: version i16 │ topics: count i32, then each length i16 and name │ what later versions add
//! ```
//!
//! Every version begins as version 0 does, so none has to be known.

use std::collections::BTreeSet;

use bytes::Buf;

use super::group::ClassicGroup;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

impl ClassicGroup {
    /// Whether these are Kafka consumers, whose subscriptions can be read.
    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// What the members subscribe to; `None` where that is not known: the members are no consumers, have not agreed on
    /// a protocol yet, or say something else.
    pub fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        let protocol_name = self.protocol_name.as_deref();
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            // One that joins the next generation need not know what this one agreed on.
            let of_generation = member.protocols.metadata(protocol_name?);
            let metadata = of_generation.or_else(|| member.protocols.iter().next().map(|first| &first.metadata))?;
            topics.append(&mut read_topics(metadata)?);
        }
        Some(topics)
    }
}

fn read_topics(mut subscription: &[u8]) -> Option<BTreeSet<String>> {
    let _version = subscription.try_get_i16().ok()?;
    let count = subscription.try_get_i32().ok()?;
    let mut topics = BTreeSet::new();
    for _ in 0..count.max(0) {
        let length = usize::try_from(subscription.try_get_i16().ok()?).ok()?;
        let name = subscription.get(..length)?;
        topics.insert(std::str::from_utf8(name).ok()?.to_owned());
        subscription.advance(length);
    }
    Some(topics)
}
