//! [`Limits`]: which quota is a client's, by Kafka's order of precedence.

use std::collections::HashMap;
use std::net::IpAddr;

use super::hosts::HostLimits;
use crate::metadata::MetadataImage;
use crate::metadata::quotas::{EntityName, QuotaEntity};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    /// Bytes a second that are produced.
    Produce,
    /// Bytes a second that are fetched.
    Fetch,
    /// The part of one processor's time, in percent.
    Request,
    /// Partitions created and deleted a second.
    ControllerMutation,
}

impl QuotaKind {
    pub const ALL: [Self; 4] = [Self::Produce, Self::Fetch, Self::Request, Self::ControllerMutation];

    /// The configuration key of the limit.
    pub fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::Request => "request_percentage",
            Self::ControllerMutation => "controller_mutation_rate",
        }
    }

    /// What metrics call it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Produce => "Produce",
            Self::Fetch => "Fetch",
            Self::Request => "Request",
            Self::ControllerMutation => "ControllerMutation",
        }
    }
}

/// The key of the limit on an address.
const CONNECTION_CREATION_RATE: &str = "connection_creation_rate";

/// Who shares one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    User,
    Client,
    UserClient,
}

/// All quotas that are set.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    by_kind: HashMap<QuotaKind, HashMap<QuotaEntity, f64>>,
    hosts: HostLimits<f64>,
    /// Those of `hosts`.
    by_address: HashMap<IpAddr, f64>,
    any_address: Option<f64>,
}

impl Limits {
    /// The quotas of `image`. `resolve` finds the addresses of a host that an `ip` quota names, unless these limits have
    /// them.
    #[must_use]
    pub fn renewed(&self, image: &MetadataImage, resolve: impl Fn(&str) -> Vec<IpAddr>) -> Self {
        let mut limits = Self::default();
        let mut hosts: Vec<(&str, f64)> = Vec::new();
        for (entity, quotas) in image.quotas() {
            for kind in QuotaKind::ALL {
                if let Some(&limit) = quotas.values.get(kind.key()).filter(|_| !matches!(entity, QuotaEntity::Ip(_)))
                {
                    limits.by_kind.entry(kind).or_default().insert(entity.clone(), limit);
                }
            }
            match (entity, quotas.values.get(CONNECTION_CREATION_RATE)) {
                (QuotaEntity::Ip(EntityName::Default), Some(&limit)) => limits.any_address = Some(limit),
                (QuotaEntity::Ip(EntityName::Named(host)), Some(&limit)) => hosts.push((host, limit)),
                _ => {}
            }
        }
        limits.hosts = self.hosts.renewed(hosts, resolve);
        limits.by_address = limits.hosts.by_address();
        limits
    }

    /// Some client is limited.
    pub fn limit_clients(&self) -> bool {
        !self.by_kind.is_empty()
    }

    /// Some address is limited.
    pub fn limit_addresses(&self) -> bool {
        self.any_address.is_some() || !self.by_address.is_empty()
    }

    /// The limit of a client, and who shares it with the client; `None`: nothing limits it.
    pub fn of_client(&self, kind: QuotaKind, user: &str, client_id: &str) -> Option<(f64, Scope)> {
        let limits = self.by_kind.get(&kind)?;
        let user = || EntityName::new(Some(user));
        let client = || EntityName::new(Some(client_id));
        let find = |entity: QuotaEntity, scope| Some((*limits.get(&entity)?, scope));
        let of_both = |user, client| match client_id {
            // A client that says nothing of itself is only ever its user.
            "" => None,
            _ => find(QuotaEntity::UserClient(user, client), Scope::UserClient),
        };
        let of_client =
            |client| if client_id.is_empty() { None } else { find(QuotaEntity::Client(client), Scope::Client) };
        of_both(user(), client())
            .or_else(|| of_both(user(), EntityName::Default))
            .or_else(|| find(QuotaEntity::User(user()), Scope::User))
            .or_else(|| of_both(EntityName::Default, client()))
            .or_else(|| of_both(EntityName::Default, EntityName::Default))
            .or_else(|| find(QuotaEntity::User(EntityName::Default), Scope::User))
            .or_else(|| of_client(client()))
            .or_else(|| of_client(EntityName::Default))
    }

    /// Connections a second that may come from an address.
    pub fn of_address(&self, address: IpAddr) -> Option<f64> {
        self.by_address.get(&address.to_canonical()).copied().or(self.any_address)
    }
}

#[cfg(test)]
pub(super) fn limits_of(quotas: &[(QuotaEntity, &str, f64)]) -> Limits {
    use std::collections::BTreeMap;

    use crate::metadata::keys::{Key, Keys};
    use crate::metadata::store::{Event, EventBatch, KeyValue, Revision};
    use crate::metadata::values;

    let keys = Keys::new("test");
    let mut by_entity: BTreeMap<&QuotaEntity, BTreeMap<String, f64>> = BTreeMap::new();
    for (entity, key, limit) in quotas {
        by_entity.entry(entity).or_default().insert((*key).to_owned(), *limit);
    }
    let put = |(entity, values): (&QuotaEntity, BTreeMap<String, f64>)| {
        Event::Put(KeyValue {
            key: keys.encode(&Key::Quota(entity.clone())),
            value: values::encode(&values),
            create_revision: Revision(1),
            mod_revision: Revision(1),
            version: 1,
            lease: None,
        })
    };
    let events = by_entity.into_iter().map(put).collect();
    let (image, problems) = MetadataImage::default().apply(&keys, [EventBatch { revision: Revision(1), events }]);
    assert_eq!(problems, []);
    Limits::default().renewed(&image, |host| host.parse().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> EntityName {
        EntityName::new(Some(name))
    }

    /// Kafka's order, the strongest first; each level is asked after those above it are gone.
    #[test]
    fn the_nearest_quota_counts() {
        let any = || EntityName::Default;
        let levels = [
            (QuotaEntity::UserClient(named("u"), named("c")), Scope::UserClient),
            (QuotaEntity::UserClient(named("u"), any()), Scope::UserClient),
            (QuotaEntity::User(named("u")), Scope::User),
            (QuotaEntity::UserClient(any(), named("c")), Scope::UserClient),
            (QuotaEntity::UserClient(any(), any()), Scope::UserClient),
            (QuotaEntity::User(any()), Scope::User),
            (QuotaEntity::Client(named("c")), Scope::Client),
            (QuotaEntity::Client(any()), Scope::Client),
        ];
        let quotas: Vec<_> = levels
            .iter()
            .enumerate()
            .map(|(level, (entity, _))| (entity.clone(), "producer_byte_rate", level as f64))
            .collect();
        for (level, (_, scope)) in levels.iter().enumerate() {
            let limits = limits_of(&quotas[level..]);
            assert_eq!(limits.of_client(QuotaKind::Produce, "u", "c"), Some((level as f64, *scope)));
            assert_eq!(limits.of_client(QuotaKind::Fetch, "u", "c"), None);
        }
        assert_eq!(limits_of(&quotas[6..7]).of_client(QuotaKind::Produce, "u", "other"), None);
        assert_eq!(limits_of(&quotas).of_client(QuotaKind::Produce, "u", ""), Some((2.0, Scope::User)));
    }

    #[test]
    fn addresses() {
        let limits = limits_of(&[
            (QuotaEntity::Ip(named("10.0.0.1")), CONNECTION_CREATION_RATE, 1.0),
            (QuotaEntity::Ip(EntityName::Default), CONNECTION_CREATION_RATE, 2.0),
        ]);
        assert!(limits.limit_addresses() && !limits.limit_clients());
        assert_eq!(limits.of_address("::ffff:10.0.0.1".parse().unwrap()), Some(1.0));
        assert_eq!(limits.of_address("10.0.0.2".parse().unwrap()), Some(2.0));
    }
}
