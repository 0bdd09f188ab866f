//! [`QuotaManager`]: keeps the limits as the metadata has them, and a meter for everybody who is limited.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::hosts::addresses_of;
use super::limits::{Limits, QuotaKind, Scope};
use super::meter::{Meter, Reading};
use super::rate::{Rate, Window, throttle_time};
use crate::ids::short_name;
use crate::metadata::{ImagePublisher, MetadataImage};
use crate::time::Clock;

/// Over what time use is measured.
#[derive(Clone, Copy, Debug)]
pub struct QuotaWindows {
    /// `quota.window.*`
    pub clients: Window,
    /// `controller.quota.window.*`
    pub controller: Window,
}

/// Meters are made for names that clients choose, and keep them [short](short_name); where there are so many and none
/// is idle, those that come share one.
const MAX_METERS: usize = 50_000;
/// How often meters that nobody uses are looked for, where new ones come.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Addresses that are watched at once; beyond, those that come are not limited until others are quiet.
const MAX_ADDRESSES: usize = 50_000;

/// Measures clients against their quotas.
#[derive(Debug)]
pub struct QuotaManager {
    windows: QuotaWindows,
    clock: Arc<dyn Clock>,
    limits: ArcSwap<Limits>,
    /// Some client is limited: the one thing that is asked of every request.
    limits_clients: AtomicBool,
    limits_addresses: AtomicBool,
    /// Counts the changes of the limits.
    generation: AtomicU64,
    meters: Mutex<Meters>,
    connections: Mutex<HashMap<IpAddr, Rate>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MeterKey {
    kind: QuotaKind,
    user: Arc<str>,
    client_id: Arc<str>,
}

#[derive(Debug, Default)]
struct Meters {
    by_key: HashMap<MeterKey, Arc<Meter>>,
    swept_at: Duration,
}

impl Meters {
    /// Forgets those that no connection uses any more.
    fn sweep(&mut self, now: Duration) {
        self.swept_at = now;
        self.by_key.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.is_idle(now));
    }
}

/// The meters of one client; a connection keeps them for as long as the limits and its client id stay the same.
#[derive(Debug, Default)]
pub struct ClientQuotas {
    generation: u64,
    client_id: Box<str>,
    produce: Option<Arc<Meter>>,
    fetch: Option<Arc<Meter>>,
    request: Option<Arc<Meter>>,
    controller_mutation: Option<Arc<Meter>>,
}

impl ClientQuotas {
    /// The meter of one kind; none where the client is not limited.
    pub fn meter(&self, kind: QuotaKind) -> Option<&Arc<Meter>> {
        match kind {
            QuotaKind::Produce => self.produce.as_ref(),
            QuotaKind::Fetch => self.fetch.as_ref(),
            QuotaKind::Request => self.request.as_ref(),
            QuotaKind::ControllerMutation => self.controller_mutation.as_ref(),
        }
    }
}

impl QuotaManager {
    /// A manager that knows of no quota.
    pub fn new(windows: QuotaWindows, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            windows,
            clock,
            limits: ArcSwap::default(),
            limits_clients: AtomicBool::new(false),
            limits_addresses: AtomicBool::new(false),
            generation: AtomicU64::new(1),
            meters: Mutex::default(),
            connections: Mutex::default(),
        })
    }

    /// Follows the quotas in the metadata of `publisher` from now on.
    pub fn follow(self: &Arc<Self>, publisher: &ImagePublisher) {
        let follower = Arc::downgrade(self);
        publisher.listen(Box::new(move |old, new| {
            if let Some(manager) = follower.upgrade().filter(|_| !new.same_quotas(old)) {
                manager.show(new);
            }
        }));
    }

    fn show(&self, image: &MetadataImage) {
        let limits = self.limits.load().renewed(image, addresses_of);
        let (clients, addresses) = (limits.limit_clients(), limits.limit_addresses());
        self.limits.store(Arc::new(limits));
        self.generation.fetch_add(1, Ordering::Release);
        self.limits_clients.store(clients, Ordering::Release);
        self.limits_addresses.store(addresses, Ordering::Release);
        if !clients {
            self.meters.lock().by_key.clear();
        }
        if !addresses {
            self.connections.lock().clear();
        }
    }

    /// Whether any client is limited: without a quota, this is all that a request costs.
    pub fn limits_clients(&self) -> bool {
        self.limits_clients.load(Ordering::Acquire)
    }

    pub fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// The meters of a client; `kept` is where its connection keeps them.
    pub fn of_client(&self, kept: &Mutex<Arc<ClientQuotas>>, user: &str, client_id: &str) -> Arc<ClientQuotas> {
        let generation = self.generation.load(Ordering::Acquire);
        let mut kept = kept.lock();
        if kept.generation != generation || *kept.client_id != *short_name(client_id) {
            *kept = Arc::new(self.look_up(generation, user, client_id));
        }
        Arc::clone(&kept)
    }

    fn look_up(&self, generation: u64, user: &str, client_id: &str) -> ClientQuotas {
        let limits = self.limits.load();
        let meter = |kind| {
            let (limit, scope) = limits.of_client(kind, user, client_id)?;
            let (user, client_id) = match scope {
                Scope::User => (user, ""),
                Scope::Client => ("", client_id),
                Scope::UserClient => (user, client_id),
            };
            let key = MeterKey { kind, user: user.into(), client_id: short_name(client_id).into() };
            Some(self.meter(key, limit))
        };
        ClientQuotas {
            generation,
            client_id: short_name(client_id).into(),
            produce: meter(QuotaKind::Produce),
            fetch: meter(QuotaKind::Fetch),
            request: meter(QuotaKind::Request),
            controller_mutation: meter(QuotaKind::ControllerMutation),
        }
    }

    fn meter(&self, mut key: MeterKey, limit: f64) -> Arc<Meter> {
        let (mut meters, now) = (self.meters.lock(), self.now());
        if !meters.by_key.contains_key(&key) {
            if meters.by_key.len() >= MAX_METERS || now.saturating_sub(meters.swept_at) >= SWEEP_INTERVAL {
                meters.sweep(now);
            }
            if meters.by_key.len() >= MAX_METERS {
                key = MeterKey { kind: key.kind, user: Arc::default(), client_id: Arc::default() };
            }
        }
        let window = match key.kind {
            QuotaKind::ControllerMutation => self.windows.controller,
            _ => self.windows.clients,
        };
        let meter = meters.by_key.entry(key).or_insert_with_key(|key| {
            let (user, client_id) = (Arc::clone(&key.user), Arc::clone(&key.client_id));
            Arc::new(Meter::new(key.kind, user, client_id, window, limit))
        });
        // Those who share a meter have the same limit, and it may have changed.
        meter.set_limit(limit);
        Arc::clone(meter)
    }

    /// How long a new connection from `address` is to be kept out by `connection_creation_rate` (KIP-612).
    pub fn connection_throttle(&self, address: IpAddr) -> Duration {
        if !self.limits_addresses.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        let address = address.to_canonical();
        let Some(limit) = self.limits.load().of_address(address) else { return Duration::ZERO };
        let now = self.now();
        let mut connections = self.connections.lock();
        if connections.len() >= MAX_ADDRESSES && !connections.contains_key(&address) {
            connections.retain(|_, rate| !rate.is_idle(now));
            if connections.len() >= MAX_ADDRESSES {
                return Duration::ZERO;
            }
        }
        let rate = connections.entry(address).or_insert_with(|| Rate::new(self.windows.clients));
        rate.record(now, 1.0);
        let throttle = throttle_time(rate.per_second(now), limit, rate.span(now));
        if !throttle.is_zero() {
            // Who is kept out has not connected.
            rate.record(now, -1.0);
        }
        throttle.min(self.windows.clients.length)
    }

    /// What the meters that are in use say; those that nobody uses are forgotten.
    pub fn read(&self) -> Vec<Reading> {
        let now = self.now();
        let mut meters = self.meters.lock();
        meters.sweep(now);
        meters.by_key.values().map(|meter| meter.read(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::quotas::{EntityName, QuotaEntity};
    use crate::quota::limits::limits_of;
    use crate::time::ManualClock;

    const WINDOW: Window = Window { samples: 11, length: Duration::from_secs(1) };
    const WINDOWS: QuotaWindows = QuotaWindows { clients: WINDOW, controller: WINDOW };

    fn manager(quotas: &[(QuotaEntity, &str, f64)]) -> Arc<QuotaManager> {
        let manager = QuotaManager::new(WINDOWS, ManualClock::at(0));
        set(&manager, quotas);
        manager
    }

    fn set(manager: &QuotaManager, quotas: &[(QuotaEntity, &str, f64)]) {
        let limits = limits_of(quotas);
        manager.limits_clients.store(limits.limit_clients(), Ordering::Release);
        manager.limits_addresses.store(limits.limit_addresses(), Ordering::Release);
        manager.limits.store(Arc::new(limits));
        manager.generation.fetch_add(1, Ordering::Release);
    }

    fn any_client(limit: f64) -> (QuotaEntity, &'static str, f64) {
        (QuotaEntity::Client(EntityName::Default), "producer_byte_rate", limit)
    }

    #[test]
    fn connections_of_one_client_share_its_meter() {
        let manager = manager(&[any_client(10.0)]);
        let (one, other, third) = (Mutex::default(), Mutex::default(), Mutex::default());
        let of = |kept: &Mutex<Arc<ClientQuotas>>, client_id: &str| {
            Arc::clone(manager.of_client(kept, "u", client_id).meter(QuotaKind::Produce).unwrap())
        };
        assert!(Arc::ptr_eq(&of(&one, "a"), &of(&other, "a")));
        assert!(!Arc::ptr_eq(&of(&one, "a"), &of(&third, "b")));
        let kept = manager.of_client(&one, "u", "a");
        assert!(Arc::ptr_eq(&kept, &manager.of_client(&one, "u", "a")), "what is kept is not looked up again");
        assert!(kept.meter(QuotaKind::Fetch).is_none());
    }

    #[test]
    fn a_change_reaches_those_that_are_connected() {
        let manager = manager(&[any_client(10.0)]);
        let kept = Mutex::default();
        let before = Arc::clone(manager.of_client(&kept, "u", "a").meter(QuotaKind::Produce).unwrap());
        set(&manager, &[any_client(20.0)]);
        let after = Arc::clone(manager.of_client(&kept, "u", "a").meter(QuotaKind::Produce).unwrap());
        assert!(Arc::ptr_eq(&before, &after) && (after.limit() - 20.0).abs() < f64::EPSILON);
        set(&manager, &[]);
        assert!(!manager.limits_clients());
        assert!(manager.of_client(&kept, "u", "a").meter(QuotaKind::Produce).is_none());
    }

    #[test]
    fn meters_that_nobody_uses_are_forgotten() {
        let manager = manager(&[any_client(10.0)]);
        for client in 0..100 {
            manager.of_client(&Mutex::default(), "u", &client.to_string());
        }
        let kept = Mutex::default();
        manager.of_client(&kept, "u", "kept");
        assert_eq!(manager.read().len(), 1);
    }

    #[test]
    fn meters_are_forgotten_by_time_though_nobody_reads_them() {
        let clock = ManualClock::at(0);
        let manager = QuotaManager::new(WINDOWS, Arc::clone(&clock) as Arc<dyn Clock>);
        set(&manager, &[any_client(10.0)]);
        let kept = Mutex::default();
        for client in 0..100 {
            manager.of_client(&kept, "u", &client.to_string());
        }
        clock.advance_ms(SWEEP_INTERVAL.as_millis() as i64);
        manager.of_client(&kept, "u", "next");
        assert_eq!(manager.meters.lock().by_key.len(), 2, "the one that was in use, and the next");
    }

    #[test]
    fn meters_keep_short_names() {
        let manager = manager(&[any_client(10.0)]);
        let kept = Mutex::default();
        let of = |last: &str| {
            let client_id = "c".repeat(30_000) + last;
            Arc::clone(manager.of_client(&kept, "u", &client_id).meter(QuotaKind::Produce).unwrap())
        };
        let (one, other) = (of("1"), of("2"));
        assert!(!Arc::ptr_eq(&one, &other) && Arc::ptr_eq(&one, &of("1")));
        assert!(one.client_id.len() < 1_000 && kept.lock().client_id.len() < 1_000);
    }

    #[test]
    fn an_address_connects_at_its_rate() {
        let manager = manager(&[(QuotaEntity::Ip(EntityName::Default), "connection_creation_rate", 1.0)]);
        let address = "10.0.0.1".parse().unwrap();
        let admitted = (0..20).filter(|_| manager.connection_throttle(address).is_zero()).count();
        assert_eq!(admitted, 10, "all windows' worth at once");
        assert_eq!(manager.connection_throttle(address), Duration::from_secs(1));
        assert!(manager.connection_throttle("10.0.0.2".parse().unwrap()).is_zero());
    }
}
