//! [`ClientTelemetry`]: answers clients that ask what to push, and takes what they push.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;

use super::instances::{ClientFacts, Instances};
use super::otlp::read_metrics;
use super::pushed::{Pushed, PushedReading};
use super::subscriptions::Subscriptions;
use crate::config::ConfigOverrides;
use crate::error::ErrorCode;
use crate::ids::random_uuid;
use crate::metadata::keys::ConfigResource;
use crate::metadata::{ImagePublisher, MetadataImage};
use crate::protocol::batch::Compression;
use crate::protocol::compression::decompress;
use crate::time::Clock;

/// Compressed metrics may hold this many times `telemetry.max.bytes`.
const MAX_INFLATION: usize = 16;
/// Metrics of one push that are looked at.
const MAX_METRICS_PER_PUSH: usize = 10_000;

/// Why a client is not told or its metrics not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    #[error("the client instance id is reserved")]
    InvalidInstance,
    #[error("the client has said that it ends")]
    Terminated,
    #[error("the request arrived before the next push interval")]
    TooEarly,
    #[error("the subscription id is not the client's")]
    UnknownSubscription,
    #[error("no such compression type")]
    UnsupportedCompression,
    #[error("the metrics are larger than telemetry.max.bytes")]
    TooLarge,
    #[error("the metrics can not be read")]
    BadMetrics,
}

impl TelemetryError {
    /// The error code on the wire.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::InvalidInstance | Self::Terminated => ErrorCode::InvalidRequest,
            Self::TooEarly => ErrorCode::ThrottlingQuotaExceeded,
            Self::UnknownSubscription => ErrorCode::UnknownSubscriptionId,
            Self::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
            Self::TooLarge => ErrorCode::TelemetryTooLarge,
            Self::BadMetrics => ErrorCode::InvalidRecord,
        }
    }
}

/// What a client that asks is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    pub instance: Uuid,
    pub subscription_id: i32,
    pub push_interval_ms: i32,
    /// The beginnings of names; empty: nothing is wanted.
    pub metrics: Vec<String>,
}

/// What a client pushes.
#[derive(Clone, Debug)]
pub struct Push {
    pub instance: Uuid,
    pub subscription_id: i32,
    pub is_terminating: bool,
    pub compression_type: i8,
    pub metrics: Bytes,
}

/// The receiver of clients' metrics.
#[derive(Debug)]
pub struct ClientTelemetry {
    max_bytes: usize,
    clock: Arc<dyn Clock>,
    subscriptions: ArcSwap<Subscriptions>,
    /// Counts the changes of the subscriptions.
    generation: AtomicU64,
    instances: Mutex<Instances>,
    pushed: Mutex<Pushed>,
}

impl ClientTelemetry {
    /// A receiver without subscriptions. `max_bytes`: `telemetry.max.bytes`.
    pub fn new(max_bytes: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            max_bytes,
            clock,
            subscriptions: ArcSwap::default(),
            generation: AtomicU64::new(0),
            instances: Mutex::default(),
            pushed: Mutex::default(),
        })
    }

    /// Follows the subscriptions in the metadata of `publisher` from now on.
    pub fn follow(self: &Arc<Self>, publisher: &ImagePublisher) {
        let follower = Arc::downgrade(self);
        publisher.listen(Box::new(move |old, new| {
            if let Some(telemetry) = follower.upgrade()
                && !new.same_configs(old)
                && !configured(old).eq(configured(new))
            {
                telemetry.subscribe(Subscriptions::of(new));
            }
        }));
    }

    fn subscribe(&self, subscriptions: Subscriptions) {
        self.subscriptions.store(Arc::new(subscriptions));
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The largest payload that a client may push.
    pub fn max_bytes(&self) -> i32 {
        i32::try_from(self.max_bytes).unwrap_or(i32::MAX)
    }

    /// What a client is to push. One without an instance id is given one.
    pub fn ask(&self, instance: Uuid, facts: &ClientFacts) -> Result<Subscribed, TelemetryError> {
        let now = self.clock.monotonic();
        let mut instances = self.instances.lock();
        let mut id = instance;
        while id.is_nil() || (instance.is_nil() && instances.contains(id)) {
            id = random_uuid();
        }
        let generation = self.generation.load(Ordering::Acquire);
        let known = instances.get(id, facts, &self.subscriptions.load(), generation, now);
        if !known.may_ask(now) {
            return Err(TelemetryError::TooEarly);
        }
        Ok(Subscribed {
            instance: id,
            subscription_id: known.wanted.subscription_id,
            push_interval_ms: known.wanted.interval_ms,
            metrics: known.wanted.metrics.iter().cloned().collect(),
        })
    }

    /// Takes what a client pushes.
    pub fn push(&self, push: &Push, facts: &ClientFacts) -> Result<(), TelemetryError> {
        let result = self.check(push, facts).and_then(|codec| self.take(push, codec, facts));
        let mut pushed = self.pushed.lock();
        match result {
            Ok(()) => {
                pushed.pushes += 1;
                pushed.bytes += push.metrics.len() as u64;
            }
            Err(_) => pushed.refused += 1,
        }
        result
    }

    fn check(&self, push: &Push, facts: &ClientFacts) -> Result<Compression, TelemetryError> {
        // 0 and 1 are nobody's: Kafka keeps them for topics of its own.
        if push.instance.as_u128() <= 1 {
            return Err(TelemetryError::InvalidInstance);
        }
        let now = self.clock.monotonic();
        let mut instances = self.instances.lock();
        let generation = self.generation.load(Ordering::Acquire);
        let known = instances.get(push.instance, facts, &self.subscriptions.load(), generation, now);
        let was_terminating = std::mem::replace(&mut known.is_terminating, push.is_terminating);
        if was_terminating {
            return Err(TelemetryError::Terminated);
        }
        if !known.may_push(now) && !push.is_terminating {
            return Err(TelemetryError::TooEarly);
        }
        if push.subscription_id != known.wanted.subscription_id {
            known.is_lost = true;
            return Err(TelemetryError::UnknownSubscription);
        }
        let Some(codec) = Compression::from_id(push.compression_type.into()) else {
            known.is_lost = true;
            return Err(TelemetryError::UnsupportedCompression);
        };
        if push.metrics.len() > self.max_bytes { Err(TelemetryError::TooLarge) } else { Ok(codec) }
    }

    fn take(&self, push: &Push, codec: Compression, facts: &ClientFacts) -> Result<(), TelemetryError> {
        if push.metrics.is_empty() {
            return Ok(());
        }
        let payload =
            decompress(codec, &push.metrics, self.max_bytes.saturating_mul(MAX_INFLATION)).map_err(|error| {
                if error.is_too_large() { TelemetryError::TooLarge } else { TelemetryError::BadMetrics }
            })?;
        let metrics = read_metrics(&payload, MAX_METRICS_PER_PUSH).map_err(|_| TelemetryError::BadMetrics)?;
        self.pushed.lock().take(self.clock.monotonic(), &facts.client_id, &metrics);
        Ok(())
    }

    /// All that was pushed so far.
    pub fn read(&self) -> PushedReading {
        let instances = self.instances.lock().len();
        self.pushed.lock().read(self.clock.monotonic(), instances)
    }
}

/// The subscriptions of an image, as they are set.
fn configured(image: &MetadataImage) -> impl Iterator<Item = (&ConfigResource, &ConfigOverrides)> {
    let subscriptions =
        image.config_resources().filter(|resource| matches!(resource, ConfigResource::ClientMetrics(_)));
    subscriptions.map(|resource| (resource, image.configs(resource)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::client_match::ClientMatch;
    use crate::telemetry::Subscription;
    use crate::time::ManualClock;

    fn telemetry() -> Arc<ClientTelemetry> {
        let telemetry = ClientTelemetry::new(100, ManualClock::at(0));
        let everything =
            Subscription { metrics: vec!["*".to_owned()], interval_ms: 1_000, clients: ClientMatch::default() };
        telemetry.subscribe(Subscriptions::from_all(vec![everything]));
        telemetry
    }

    fn push(told: &Subscribed) -> Push {
        Push {
            instance: told.instance,
            subscription_id: told.subscription_id,
            is_terminating: false,
            compression_type: 0,
            metrics: Bytes::new(),
        }
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Push), expected: Result<(), TelemetryError>) {
        let (telemetry, facts) = (telemetry(), ClientFacts::default());
        let told = telemetry.ask(Uuid::nil(), &facts).unwrap();
        let mut pushed = push(&told);
        change(&mut pushed);
        assert_eq!(telemetry.push(&pushed, &facts), expected);
    }

    #[test]
    fn pushes_are_checked() {
        check(|_| {}, Ok(()));
        check(|push| push.instance = Uuid::nil(), Err(TelemetryError::InvalidInstance));
        check(|push| push.instance = Uuid::from_u128(1), Err(TelemetryError::InvalidInstance));
        check(|push| push.subscription_id ^= 1, Err(TelemetryError::UnknownSubscription));
        check(|push| push.compression_type = 5, Err(TelemetryError::UnsupportedCompression));
        check(|push| push.compression_type = 8, Err(TelemetryError::UnsupportedCompression));
        check(|push| push.compression_type = -1, Err(TelemetryError::UnsupportedCompression));
        check(|push| push.metrics = vec![0; 101].into(), Err(TelemetryError::TooLarge));
        check(|push| push.metrics = vec![0x0a].into(), Err(TelemetryError::BadMetrics));
        check(|push| push.is_terminating = true, Ok(()));
    }

    #[test]
    fn a_bomb_is_too_large() {
        let bomb = crate::protocol::compression::compress(Compression::Gzip, None, &vec![0; 20_000]).unwrap();
        assert!(bomb.len() <= 100);
        check(
            |push| {
                push.metrics = bomb.clone().into();
                push.compression_type = 1;
            },
            Err(TelemetryError::TooLarge),
        );
    }

    #[test]
    fn a_client_keeps_to_its_interval_and_its_word() {
        let (telemetry, facts) = (telemetry(), ClientFacts::default());
        let told = telemetry.ask(Uuid::nil(), &facts).unwrap();
        assert_eq!((told.push_interval_ms, told.metrics.as_slice()), (1_000, &["*".to_owned()][..]));
        assert_eq!(telemetry.ask(told.instance, &facts), Err(TelemetryError::TooEarly));
        assert_eq!(telemetry.push(&push(&told), &facts), Ok(()));
        assert_eq!(telemetry.push(&push(&told), &facts), Err(TelemetryError::TooEarly));
        let last = Push { is_terminating: true, ..push(&told) };
        assert_eq!(telemetry.push(&last, &facts), Ok(()), "the last words may come at any time");
        assert_eq!(telemetry.push(&last, &facts), Err(TelemetryError::Terminated));
        let read = telemetry.read();
        assert_eq!((read.pushes, read.refused, read.instances), (2, 2, 1));
    }

    #[test]
    fn a_changed_subscription_is_asked_for_anew() {
        let (telemetry, facts) = (telemetry(), ClientFacts::default());
        let told = telemetry.ask(Uuid::nil(), &facts).unwrap();
        telemetry.subscribe(Subscriptions::default());
        assert_eq!(telemetry.push(&push(&told), &facts), Err(TelemetryError::UnknownSubscription));
        let again = telemetry.ask(told.instance, &facts).unwrap();
        assert_ne!(again.subscription_id, told.subscription_id);
        assert!(again.metrics.is_empty());
    }
}
