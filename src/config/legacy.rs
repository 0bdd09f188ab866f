//! Keys that Kafka 4 no longer has, or never declared, and that are met in files nevertheless.

use super::key::Support;
use super::reasons::{AUTHORIZATION, NO_AUTHORIZER, ONE_FORMAT, ONE_PROTOCOL, PROVIDERS, ZOOKEEPER};

/// How a key outside the table is answered; `None`: nobody knows it.
pub(super) fn support(name: &str) -> Option<Support> {
    Some(match name {
        // Read by Kafka's authorizer itself.
        "super.users" => Support::RefusedWhenSet(AUTHORIZATION),
        "allow.everyone.if.no.acl.found" => Support::Replaced(NO_AUTHORIZER),
        "broker.id.generation.enable" | "reserved.broker.max.id" | "control.plane.listener.name" => {
            Support::Replaced(ZOOKEEPER)
        }
        "inter.broker.protocol.version" => Support::Replaced(ONE_PROTOCOL),
        "log.message.format.version" | "log.message.downconversion.enable" => Support::Replaced(ONE_FORMAT),
        _ if name.starts_with("zookeeper.") => Support::Replaced(ZOOKEEPER),
        _ if name.starts_with("config.providers.") => Support::RefusedWhenSet(PROVIDERS),
        // Handed to storage plugins, which remote.log.storage.system.enable would bring.
        _ if name.starts_with("rsm.config.") || name.starts_with("rlmm.config.") => Support::Reported,
        _ => return None,
    })
}
