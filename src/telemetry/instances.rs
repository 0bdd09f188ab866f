//! Client instances: when each asked and pushed last, and what it was told.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::subscriptions::{Subscriptions, Wanted};
use crate::config::client_match::ClientFact;

/// What a connection knows of its client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFacts {
    pub client_id: String,
    pub software_name: String,
    pub software_version: String,
    pub address: String,
    pub port: u16,
}

impl ClientFacts {
    pub(super) fn get<'a>(&'a self, fact: ClientFact, instance: &'a str, port: &'a str) -> &'a str {
        match fact {
            ClientFact::InstanceId => instance,
            ClientFact::Id => &self.client_id,
            ClientFact::SoftwareName => &self.software_name,
            ClientFact::SoftwareVersion => &self.software_version,
            ClientFact::SourceAddress => &self.address,
            ClientFact::SourcePort => port,
        }
    }
}

/// As many as Kafka remembers; beyond, the one that was quiet for longest is forgotten.
const MAX_INSTANCES: usize = 16_384;
/// An instance that is quiet for this long, and for three of its intervals, is forgotten.
const QUIET_LIMIT: Duration = Duration::from_secs(60);

/// One client instance.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) wanted: Wanted,
    /// Of the subscriptions that `wanted` is of.
    generation: u64,
    asked_at: Option<Duration>,
    pushed_at: Option<Duration>,
    pub(super) is_terminating: bool,
    /// It was told that its subscription is not known: it may ask at once.
    pub(super) is_lost: bool,
    seen_at: Duration,
}

impl Instance {
    fn new(wanted: Wanted, generation: u64, now: Duration) -> Self {
        Self {
            wanted,
            generation,
            asked_at: None,
            pushed_at: None,
            is_terminating: false,
            is_lost: false,
            seen_at: now,
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.wanted.interval_ms).unwrap_or_default())
    }

    /// Whether it may ask for its subscription now; noted if so.
    pub(super) fn may_ask(&mut self, now: Duration) -> bool {
        let last = self.asked_at.max(self.pushed_at);
        let may = self.is_lost || last.is_none_or(|last| now.saturating_sub(last) >= self.interval());
        if may {
            (self.asked_at, self.is_lost) = (Some(now), false);
        }
        may
    }

    /// Whether it may push now; noted if so. Right after it asked it may: clients spread their first push.
    pub(super) fn may_push(&mut self, now: Duration) -> bool {
        let in_turn = self.pushed_at.is_none_or(|last| now.saturating_sub(last) >= self.interval());
        let may = self.asked_at > self.pushed_at || in_turn;
        if may {
            self.pushed_at = Some(now);
        }
        may
    }
}

/// The instances that were there lately.
#[derive(Debug, Default)]
pub(super) struct Instances {
    by_id: HashMap<Uuid, Instance>,
    swept_at: Duration,
}

impl Instances {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn contains(&self, id: Uuid) -> bool {
        self.by_id.contains_key(&id)
    }

    /// The instance, with what the subscriptions of `generation` want of it.
    pub(super) fn get(
        &mut self,
        id: Uuid,
        facts: &ClientFacts,
        subscriptions: &Subscriptions,
        generation: u64,
        now: Duration,
    ) -> &mut Instance {
        self.make_room(id, now);
        let make = || Instance::new(subscriptions.of_client(id, facts), generation, now);
        let instance = self.by_id.entry(id).or_insert_with(make);
        if instance.generation != generation {
            // What changed must reach the client at once: it is as if it were new.
            *instance = make();
        }
        instance.seen_at = now;
        instance
    }

    fn make_room(&mut self, id: Uuid, now: Duration) {
        if now.saturating_sub(self.swept_at) >= QUIET_LIMIT {
            self.swept_at = now;
            self.by_id.retain(|_, instance| {
                now.saturating_sub(instance.seen_at) < QUIET_LIMIT.max(instance.interval() * 3)
            });
        }
        if self.by_id.len() < MAX_INSTANCES || self.by_id.contains_key(&id) {
            return;
        }
        if let Some((&quietest, _)) = self.by_id.iter().min_by_key(|(_, instance)| instance.seen_at) {
            self.by_id.remove(&quietest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn get(instances: &mut Instances, id: u128, generation: u64, now: Duration) -> &mut Instance {
        instances.get(Uuid::from_u128(id), &ClientFacts::default(), &Subscriptions::default(), generation, now)
    }

    #[test]
    fn a_client_asks_and_pushes_in_turn() {
        let mut instances = Instances::default();
        let instance = get(&mut instances, 1, 1, at(1_000));
        assert!(instance.may_ask(at(1_000)));
        assert!(!instance.may_ask(at(1_001)));
        assert!(instance.may_push(at(1_100)), "the first push may come before its time");
        assert!(!instance.may_push(at(1_101)));
        assert!(!instance.may_ask(at(1_399)), "300 s after it was here last");
        assert!(instance.may_push(at(1_400)));
        instance.is_lost = true;
        assert!(instance.may_ask(at(1_401)) && !instance.is_lost);
    }

    #[test]
    fn a_change_of_subscriptions_is_asked_for_at_once() {
        let mut instances = Instances::default();
        assert!(get(&mut instances, 1, 1, at(0)).may_ask(at(0)));
        assert!(!get(&mut instances, 1, 1, at(1)).may_ask(at(1)));
        assert!(get(&mut instances, 1, 2, at(2)).may_ask(at(2)));
    }

    #[test]
    fn quiet_instances_are_forgotten() {
        let mut instances = Instances::default();
        get(&mut instances, 1, 1, at(0));
        get(&mut instances, 2, 1, at(899));
        assert_eq!(instances.len(), 2);
        get(&mut instances, 2, 1, at(960));
        assert_eq!(instances.len(), 1, "three of its intervals are over");
    }

    #[test]
    fn no_more_than_the_bound_are_remembered() {
        let mut instances = Instances::default();
        for id in 0..MAX_INSTANCES as u128 + 10 {
            get(&mut instances, id + 1, 1, Duration::from_nanos(id as u64));
        }
        assert_eq!(instances.len(), MAX_INSTANCES);
        assert!(!instances.contains(Uuid::from_u128(1)) && instances.contains(Uuid::from_u128(11)));
    }
}
