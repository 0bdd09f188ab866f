//! [`Subscriptions`]: which metrics the clients that match are to push, and how often.

use std::collections::BTreeSet;

use tracing::warn;
use uuid::Uuid;

use super::instances::ClientFacts;
use crate::config::ConfigOverrides;
use crate::config::client_match::{ClientMatch, MAX_INTERVAL_MS, MIN_INTERVAL_MS};
use crate::config::value::split_list;
use crate::metadata::MetadataImage;
use crate::metadata::keys::ConfigResource;

/// How often clients push whom no subscription says it.
const DEFAULT_INTERVAL_MS: i32 = 300_000;
/// Asks for everything.
const ALL_METRICS: &str = "*";

/// One subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    pub metrics: Vec<String>,
    pub interval_ms: i32,
    pub clients: ClientMatch,
}

impl Subscription {
    /// What the settings of a CLIENT_METRICS resource say; stored nonsense counts as not set.
    fn from_configs(name: &str, configs: &ConfigOverrides) -> Option<Self> {
        let text = |key: &str| configs.get(key).map_or("", String::as_str);
        let interval_ms = text("interval.ms").trim().parse().unwrap_or(DEFAULT_INTERVAL_MS);
        let clients = ClientMatch::parse(text("match"))
            .inspect_err(|error| warn!(subscription = name, %error, "stored subscription ignored"))
            .ok()?;
        Some(Self {
            metrics: split_list(text("metrics")).into_iter().map(str::to_owned).collect(),
            interval_ms: interval_ms.clamp(MIN_INTERVAL_MS, MAX_INTERVAL_MS),
            clients,
        })
    }
}

/// All subscriptions.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    all: Vec<Subscription>,
}

/// What one client is to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The beginnings of names, in their order; only [`ALL_METRICS`] where anything asks for that.
    pub(super) metrics: BTreeSet<String>,
    pub(super) interval_ms: i32,
    /// Changes whenever the rest does.
    pub(super) subscription_id: i32,
}

impl Subscriptions {
    pub fn of(image: &MetadataImage) -> Self {
        let configured = image.config_resources().filter_map(|resource| match resource {
            ConfigResource::ClientMetrics(name) => Subscription::from_configs(name, image.configs(resource)),
            _ => None,
        });
        Self { all: configured.collect() }
    }

    /// Subscriptions made one by one.
    pub fn from_all(all: Vec<Subscription>) -> Self {
        Self { all }
    }

    /// What all subscriptions that match want of a client.
    pub(super) fn of_client(&self, instance: Uuid, facts: &ClientFacts) -> Wanted {
        let (id, port) = (crate::ids::uuid_to_base64(instance), facts.port.to_string());
        let matching =
            self.all.iter().filter(|subscription| subscription.clients.matches(|fact| facts.get(fact, &id, &port)));
        let (mut metrics, mut interval_ms) = (BTreeSet::new(), DEFAULT_INTERVAL_MS);
        for subscription in matching {
            metrics.extend(subscription.metrics.iter().cloned());
            interval_ms = interval_ms.min(subscription.interval_ms);
        }
        if metrics.contains(ALL_METRICS) {
            metrics.retain(|metric| metric == ALL_METRICS);
        }
        let subscription_id = subscription_id(&metrics, interval_ms, instance);
        Wanted { metrics, interval_ms, subscription_id }
    }
}

/// Kafka's way to tell subscriptions apart: the CRC-32C of the text of what is wanted, mixed with the instance.
fn subscription_id(metrics: &BTreeSet<String>, interval_ms: i32, instance: Uuid) -> i32 {
    let metrics: Vec<_> = metrics.iter().map(String::as_str).collect();
    let text = format!("[{}]{interval_ms}", metrics.join(", "));
    let (high, low) = instance.as_u64_pair();
    let mixed = high ^ low;
    let hash = (mixed >> 32) as i32 ^ mixed as i32;
    crc32c::crc32c(text.as_bytes()) as i32 ^ hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(metrics: &[&str], interval_ms: i32, clients: &str) -> Subscription {
        let metrics = metrics.iter().map(|&metric| metric.to_owned()).collect();
        Subscription { metrics, interval_ms, clients: ClientMatch::parse(clients).unwrap() }
    }

    fn wanted(all: &[Subscription], client_id: &str) -> (Vec<String>, i32, i32) {
        let facts = ClientFacts { client_id: client_id.to_owned(), ..ClientFacts::default() };
        let wanted = Subscriptions::from_all(all.to_vec()).of_client(Uuid::from_u128(7), &facts);
        (wanted.metrics.into_iter().collect(), wanted.interval_ms, wanted.subscription_id)
    }

    #[test]
    fn all_that_match_come_together() {
        let all = [
            subscription(&["b", "a"], 1_000, "client_id=x.*"),
            subscription(&["c", "a"], 500, "client_id=xy"),
            subscription(&["d"], 100, "client_id=other"),
        ];
        assert_eq!(wanted(&all, "xy").0, ["a", "b", "c"]);
        assert_eq!((wanted(&all, "xy").1, wanted(&all, "xz").1), (500, 1_000));
        assert_eq!(wanted(&all, "none"), (vec![], DEFAULT_INTERVAL_MS, wanted(&[], "none").2));
        let everything = [subscription(&["a"], 1_000, ""), subscription(&["*"], 2_000, "")];
        assert_eq!(wanted(&everything, "xy").0, ["*"]);
    }

    #[test]
    fn the_id_tells_subscriptions_apart() {
        let one = wanted(&[subscription(&["a"], 1_000, "")], "x").2;
        assert_eq!(one, wanted(&[subscription(&["a"], 1_000, "client_id=x")], "x").2);
        assert_ne!(one, wanted(&[subscription(&["a"], 1_001, "")], "x").2);
        assert_ne!(one, wanted(&[subscription(&["b"], 1_000, "")], "x").2);
        // CRC-32C of "[]300000", and Java's hash of the UUID 0-0-0-0-7.
        assert_eq!(
            subscription_id(&BTreeSet::new(), 300_000, Uuid::from_u128(7)),
            crc32c::crc32c(b"[]300000") as i32 ^ 7
        );
    }
}
