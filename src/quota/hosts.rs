//! [`HostLimits`]: limits that are set for hosts by name, and hold for the addresses that the names mean.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, ToSocketAddrs};

/// What is set for each host, with the addresses it had when that was set.
#[derive(Clone, Debug, Default)]
pub struct HostLimits<L> {
    by_host: BTreeMap<String, (L, Vec<IpAddr>)>,
}

impl<L: Copy + PartialEq> HostLimits<L> {
    /// `limits` in place of these. Only a host whose limit is new or another is looked up, by `resolve`: looking up
    /// takes its time, and metadata waits for it.
    #[must_use]
    pub fn renewed<'a>(
        &self,
        limits: impl IntoIterator<Item = (&'a str, L)>,
        resolve: impl Fn(&str) -> Vec<IpAddr>,
    ) -> Self {
        let addresses = |host, limit| match self.by_host.get(host) {
            Some((known, addresses)) if *known == limit => addresses.clone(),
            _ => resolve(host),
        };
        let limits = limits.into_iter().map(|(host, limit)| (host.to_owned(), (limit, addresses(host, limit))));
        Self { by_host: limits.collect() }
    }

    /// The limit of each address.
    pub fn by_address(&self) -> HashMap<IpAddr, L> {
        let hosts = self.by_host.values();
        hosts
            .flat_map(|(limit, addresses)| addresses.iter().map(|address| (address.to_canonical(), *limit)))
            .collect()
    }
}

/// Where a host is reached, by the system's resolver; a name that means nothing limits nobody.
pub fn addresses_of(host: &str) -> Vec<IpAddr> {
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => addresses.map(|address| address.ip()).collect(),
        Err(error) => {
            tracing::warn!(host, %error, "a limit is set for a host that is not found");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn only_what_changed_is_looked_up() {
        let asked = RefCell::new(Vec::new());
        let resolve = |host: &str| {
            asked.borrow_mut().push(host.to_owned());
            host.parse().into_iter().collect()
        };
        let first = HostLimits::default().renewed([("10.0.0.1", 1), ("10.0.0.2", 2), ("nowhere", 3)], resolve);
        assert_eq!(asked.take(), ["10.0.0.1", "10.0.0.2", "nowhere"]);
        let limits = [("10.0.0.1", 1), ("10.0.0.2", 4), ("::ffff:10.0.0.3", 5), ("nowhere", 3)];
        let second = first.renewed(limits, resolve);
        assert_eq!(asked.take(), ["10.0.0.2", "::ffff:10.0.0.3"]);
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        assert_eq!(first.by_address(), HashMap::from([(address(1), 1), (address(2), 2)]));
        assert_eq!(second.by_address(), HashMap::from([(address(1), 1), (address(2), 4), (address(3), 5)]));
    }

    #[test]
    fn an_address_is_its_own_name() {
        assert_eq!(addresses_of("10.0.0.1"), [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(addresses_of("no host, surely"), Vec::<IpAddr>::new());
    }
}
