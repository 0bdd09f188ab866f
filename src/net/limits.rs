//! Limits on how many connections there are: in all, per address, and per second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// `max.connections*`, which may change while the broker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    pub max_connections: usize,
    pub max_connections_per_ip: usize,
    pub max_connections_per_ip_overrides: HashMap<IpAddr, usize>,
    /// New connections a second, over all listeners.
    pub max_connection_creation_rate: usize,
}

impl LimitSettings {
    fn per_ip(&self, address: IpAddr) -> usize {
        self.max_connections_per_ip_overrides.get(&address).copied().unwrap_or(self.max_connections_per_ip)
    }
}

/// Counts open connections against [`LimitSettings`]; shared by all listeners.
#[derive(Debug)]
pub struct ConnectionLimits {
    settings: ArcSwap<LimitSettings>,
    open: Mutex<OpenConnections>,
    closed: Notify,
}

#[derive(Debug, Default)]
struct OpenConnections {
    count: usize,
    per_ip: HashMap<IpAddr, usize>,
    /// When the next connection may be accepted, by the rate.
    next_at: Duration,
}

/// One open connection; counted until dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    limits: Arc<ConnectionLimits>,
    address: IpAddr,
}

impl ConnectionLimits {
    pub fn new(settings: LimitSettings) -> Arc<Self> {
        Arc::new(Self { settings: ArcSwap::from_pointee(settings), open: Mutex::default(), closed: Notify::new() })
    }

    pub fn set(&self, settings: LimitSettings) {
        self.settings.store(Arc::new(settings));
        self.closed.notify_waiters();
    }

    /// Returns once another connection may be accepted: at `max.connections` the listener waits for one to close.
    pub async fn room(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open.lock().count < self.settings.load().max_connections {
                return;
            }
            closed.await;
        }
    }

    /// How long to wait before the next accept, so that the creation rate holds. `now` is monotonic.
    pub fn delay(&self, now: Duration) -> Duration {
        let rate = self.settings.load().max_connection_creation_rate.clamp(1, 1_000_000_000) as u64;
        let interval = Duration::from_nanos(1_000_000_000 / rate);
        let mut open = self.open.lock();
        let at = open.next_at.max(now.saturating_sub(Duration::from_secs(1)));
        open.next_at = at + interval;
        at.saturating_sub(now)
    }

    /// Counts a connection from `address`; none where the address has its share: Kafka closes such a one at once.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionSlot> {
        let address = address.to_canonical();
        let mut open = self.open.lock();
        let from_address = open.per_ip.entry(address).or_insert(0);
        if *from_address >= self.settings.load().per_ip(address) {
            if *from_address == 0 {
                open.per_ip.remove(&address);
            }
            return None;
        }
        *from_address += 1;
        open.count += 1;
        Some(ConnectionSlot { limits: Arc::clone(self), address })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock();
        open.count -= 1;
        if let Some(count) = open.per_ip.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.per_ip.remove(&self.address);
            }
        }
        drop(open);
        self.limits.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: usize, per_ip: usize) -> Arc<ConnectionLimits> {
        ConnectionLimits::new(LimitSettings {
            max_connections: max,
            max_connections_per_ip: per_ip,
            max_connections_per_ip_overrides: HashMap::from([("10.0.0.9".parse().unwrap(), 0)]),
            max_connection_creation_rate: 10,
        })
    }

    #[test]
    fn an_address_has_its_share() {
        let limits = limits(10, 1);
        let address = "10.0.0.1".parse().unwrap();
        let first = limits.admit(address);
        assert!(limits.admit(address).is_none());
        assert!(limits.admit("10.0.0.2".parse().unwrap()).is_some());
        assert!(limits.admit("10.0.0.9".parse().unwrap()).is_none());
        drop(first);
        assert!(limits.admit("::ffff:10.0.0.1".parse().unwrap()).is_some());
    }

    #[tokio::test]
    async fn at_the_maximum_the_listener_waits() {
        let limits = limits(1, 10);
        let slot = limits.admit("10.0.0.1".parse().unwrap());
        let mut room = Box::pin(limits.room());
        assert!(futures_util::poll!(&mut room).is_pending());
        drop(slot);
        room.await;
    }

    #[test]
    fn the_creation_rate_spreads_accepts() {
        let limits = limits(10, 10);
        let now = Duration::from_secs(100);
        let delays: Vec<_> = (0..12).map(|_| limits.delay(now)).collect();
        assert_eq!(delays[0], Duration::ZERO, "a second's worth may come at once");
        assert_eq!(delays[11], Duration::from_millis(100));
    }
}
