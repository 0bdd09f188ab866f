//! Whom a client quota is for (KIP-546), and how that is written in a key:
//!
//! ```text
//!  quotas/users/<user>                 quotas/users/<user>/clients/<client-id>
//!  quotas/clients/<client-id>          quotas/ips/<address>
//! ```
//! with `<default>` in the place of a name for all that have no quota of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::key_text::{escape, unescape};

/// Which client a quota is for, of the users, client ids or addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityName {
    /// Every one without a quota of its own.
    Default,
    Named(Arc<str>),
}

impl EntityName {
    /// `None` is the default, as on the wire.
    pub fn new(name: Option<&str>) -> Self {
        name.map_or(Self::Default, |name| Self::Named(name.into()))
    }

    /// The name; `None` for the default.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Default => None,
            Self::Named(name) => Some(name),
        }
    }
}

/// Whom a quota is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaEntity {
    Client(EntityName),
    Ip(EntityName),
    User(EntityName),
    /// A client id of a user.
    UserClient(EntityName, EntityName),
}

/// Kafka's names of the parts of an entity.
pub const USER: &str = "user";
pub const CLIENT_ID: &str = "client-id";
pub const IP: &str = "ip";

impl QuotaEntity {
    /// Its parts: what kind each is, and its name.
    pub fn parts(&self) -> Vec<(&'static str, &EntityName)> {
        match self {
            Self::Client(client) => vec![(CLIENT_ID, client)],
            Self::Ip(ip) => vec![(IP, ip)],
            Self::User(user) => vec![(USER, user)],
            Self::UserClient(user, client) => vec![(USER, user), (CLIENT_ID, client)],
        }
    }

    /// What stands behind `quotas/` in its key.
    pub(super) fn key_path(&self) -> String {
        match self {
            Self::Client(client) => format!("clients/{}", segment(client)),
            Self::Ip(ip) => format!("ips/{}", segment(ip)),
            Self::User(user) => format!("users/{}", segment(user)),
            Self::UserClient(user, client) => format!("users/{}/clients/{}", segment(user), segment(client)),
        }
    }

    pub(super) fn from_key_path(path: &str) -> Option<Self> {
        let (kind, rest) = path.split_once('/')?;
        Some(match (kind, rest.split_once("/clients/")) {
            ("users", Some((user, client))) => Self::UserClient(from_segment(user)?, from_segment(client)?),
            ("users", None) => Self::User(from_segment(rest)?),
            ("clients", None) => Self::Client(from_segment(rest)?),
            ("ips", None) => Self::Ip(from_segment(rest)?),
            _ => return None,
        })
    }
}

/// As Kafka's messages write it.
impl fmt::Display for QuotaEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.parts();
        parts.sort_unstable();
        let parts: Vec<_> =
            parts.iter().map(|(kind, name)| format!("{kind}={}", name.name().unwrap_or("null"))).collect();
        write!(f, "ClientQuotaEntity(entries={{{}}})", parts.join(", "))
    }
}

/// What no escaped name looks like.
const DEFAULT: &str = "<default>";

fn segment(name: &EntityName) -> String {
    name.name().map_or_else(|| DEFAULT.to_owned(), escape)
}

fn from_segment(text: &str) -> Option<EntityName> {
    match text {
        "" => None,
        DEFAULT => Some(EntityName::Default),
        _ => Some(EntityName::Named(unescape(text)?.into())),
    }
}

/// `producer_byte_rate` and the like, with their limits.
pub type QuotaValues = BTreeMap<String, f64>;

/// The quotas of one entity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuotaImage {
    pub values: QuotaValues,
    pub revision: super::Revision,
}

// No value is "not a number": JSON has no such thing.
impl Eq for QuotaImage {}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> EntityName {
        EntityName::new(Some(name))
    }

    #[test]
    fn keys_survive_a_round_trip() {
        for (entity, path) in [
            (QuotaEntity::User(named("a/b")), "users/a%2Fb"),
            (QuotaEntity::User(named("clients")), "users/clients"),
            (
                QuotaEntity::UserClient(EntityName::Default, named("<default>")),
                "users/<default>/clients/%3Cdefault%3E",
            ),
            (QuotaEntity::Client(EntityName::Default), "clients/<default>"),
            (QuotaEntity::Ip(named("::1")), "ips/%3A%3A1"),
        ] {
            assert_eq!(entity.key_path(), path);
            assert_eq!(QuotaEntity::from_key_path(path), Some(entity));
        }
        for bad in
            ["users/", "users/a/clients/", "users/a/b", "groups/a", "clients/a/clients/b", "users", "users/a b"]
        {
            assert_eq!(QuotaEntity::from_key_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn entities_are_shown_as_in_kafka() {
        let entity = QuotaEntity::UserClient(named("u"), EntityName::Default);
        assert_eq!(entity.to_string(), "ClientQuotaEntity(entries={client-id=null, user=u})");
    }
}
