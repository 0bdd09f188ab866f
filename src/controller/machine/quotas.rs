//! Client quotas: who may have one, what may be set, which are asked for (KIP-546).

use std::collections::BTreeMap;

use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::metadata::quotas::{CLIENT_ID, EntityName, IP, QuotaEntity, QuotaValues, USER};

/// One change of a quota: its key and the new limit, none to remove it.
pub type QuotaOp<'a> = (&'a str, Option<f64>);

const LONG_MAX: f64 = i64::MAX as f64;
const INT_MAX: f64 = i32::MAX as f64;
/// A float is never quite a whole number.
const FRACTION: f64 = 1e-6;

/// The entity that a request names by its parts: kind and name, none for the default. Each kind comes once.
pub fn quota_entity<'a>(
    parts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<QuotaEntity, AdminError> {
    let mut named: BTreeMap<&str, EntityName> = BTreeMap::new();
    for (kind, name) in parts {
        if ![USER, CLIENT_ID, IP].contains(&kind) {
            return Err(invalid(format!("Unhandled client quota entity type: {kind}")));
        }
        if name == Some("") {
            return Err(invalid(format!("Empty {kind} not supported")));
        }
        named.insert(kind, EntityName::new(name));
    }
    match (named.remove(USER), named.remove(CLIENT_ID), named.remove(IP)) {
        (Some(user), Some(client), None) => Ok(QuotaEntity::UserClient(user, client)),
        (Some(user), None, None) => Ok(QuotaEntity::User(user)),
        (None, Some(client), None) => Ok(QuotaEntity::Client(client)),
        (None, None, Some(ip)) => Ok(QuotaEntity::Ip(ip)),
        (None, None, None) => Err(invalid("Invalid empty client quota entity")),
        // Kafka's words, the missing blank too.
        _ => Err(invalid("Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId")),
    }
}

/// The quotas of `entity` after `ops`.
pub fn change_quotas(
    entity: &QuotaEntity,
    current: &QuotaValues,
    ops: &[QuotaOp<'_>],
) -> Result<QuotaValues, AdminError> {
    let mut values = current.clone();
    for &(key, limit) in ops {
        match limit {
            None => {
                values.remove(key);
            }
            Some(limit) => {
                check_limit(entity, key, limit)?;
                values.insert(key.to_owned(), limit);
            }
        }
    }
    Ok(values)
}

fn check_limit(entity: &QuotaEntity, key: &str, limit: f64) -> Result<(), AdminError> {
    let is_address = matches!(entity, QuotaEntity::Ip(_));
    let largest = match key {
        "producer_byte_rate" | "consumer_byte_rate" if !is_address => Some((LONG_MAX, "a LONG")),
        "connection_creation_rate" if is_address => Some((INT_MAX, "an INT")),
        "request_percentage" | "controller_mutation_rate" if !is_address => None,
        _ => return Err(invalid(format!("Invalid configuration key {key}"))),
    };
    // Kafka takes NaN, which limits nothing and no store can hold.
    if limit.is_nan() || limit <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    match largest {
        Some((largest, kind)) if limit > largest => {
            Err(invalid(format!("Proposed value for {key} is too large for {kind}.")))
        }
        Some(_) if (limit % 1.0).abs() > FRACTION => Err(invalid(format!("{key} cannot be a fractional value."))),
        None if limit.is_infinite() => Err(invalid(format!("Proposed value for {key} is too large for a DOUBLE."))),
        _ => Ok(()),
    }
}

/// How DescribeClientQuotas selects by one kind of part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match<'a> {
    /// This name, or the default.
    Exactly(Option<&'a str>),
    /// Any name, the default among them.
    Any,
}

/// What DescribeClientQuotas asks for.
#[derive(Clone, Debug)]
pub struct QuotaFilter<'a> {
    parts: BTreeMap<&'a str, Match<'a>>,
    /// Nothing that has a part besides those that are asked for.
    strict: bool,
}

impl<'a> QuotaFilter<'a> {
    /// The filter of a request: kind, match type and name of each part.
    pub fn new(components: &[(&'a str, i8, Option<&'a str>)], strict: bool) -> Result<Self, AdminError> {
        let mut parts = BTreeMap::new();
        for &(kind, match_type, name) in components {
            if kind.is_empty() {
                return Err(invalid("Invalid empty entity type."));
            }
            if parts.contains_key(kind) {
                return Err(invalid(format!("Entity type {kind} cannot appear more than once in the filter.")));
            }
            if ![USER, CLIENT_ID, IP].contains(&kind) {
                let message = format!("Unsupported entity type {kind}");
                return Err(AdminError::new(ErrorCode::UnsupportedVersion, message));
            }
            parts.insert(kind, Match::of(match_type, name)?);
        }
        if parts.contains_key(IP) && parts.len() > 1 {
            return Err(invalid(
                "Invalid entity filter component combination. IP filter component should not be used with user or \
                 clientId filter component.",
            ));
        }
        Ok(Self { parts, strict })
    }

    pub fn selects(&self, entity: &QuotaEntity) -> bool {
        let parts = entity.parts();
        if self.strict && parts.len() != self.parts.len() {
            return false;
        }
        self.parts.iter().all(|(kind, wanted)| {
            parts.iter().any(|(has, name)| {
                has == kind
                    && match wanted {
                        Match::Any => true,
                        Match::Exactly(wanted) => name.name() == *wanted,
                    }
            })
        })
    }
}

impl<'a> Match<'a> {
    fn of(match_type: i8, name: Option<&'a str>) -> Result<Self, AdminError> {
        let refuse = |kind: &str| {
            Err(invalid(format!("Request specified MATCH_TYPE_{kind}, but also specified a match string.")))
        };
        match (match_type, name) {
            (0, Some(_)) => Ok(Self::Exactly(name)),
            (0, None) => Err(invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.")),
            (1, None) => Ok(Self::Exactly(None)),
            (1, Some(_)) => refuse("DEFAULT"),
            (2, None) => Ok(Self::Any),
            (2, Some(_)) => refuse("SPECIFIED"),
            _ => Err(invalid(format!("Unknown match type {match_type}"))),
        }
    }
}

fn invalid(message: impl Into<String>) -> AdminError {
    AdminError::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_entity(parts: &[(&str, Option<&str>)], expected: &str) {
        let shown = match quota_entity(parts.iter().copied()) {
            Ok(entity) => entity.to_string(),
            Err(error) => format!("{:?}: {}", error.code, error.message),
        };
        assert_eq!(shown, expected, "{parts:?}");
    }

    // The words are those of a Kafka 4.3.1 broker asked the same.
    #[test]
    fn entities() {
        check_entity(&[(USER, None)], "ClientQuotaEntity(entries={user=null})");
        check_entity(
            &[(CLIENT_ID, Some("c")), (USER, Some("u"))],
            "ClientQuotaEntity(entries={client-id=c, user=u})",
        );
        check_entity(&[], "InvalidRequest: Invalid empty client quota entity");
        check_entity(&[(CLIENT_ID, Some(""))], "InvalidRequest: Empty client-id not supported");
        check_entity(&[("group", Some("x"))], "InvalidRequest: Unhandled client quota entity type: group");
        check_entity(
            &[(USER, Some("u")), (IP, Some("1.2.3.4"))],
            "InvalidRequest: Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
        );
    }

    #[track_caller]
    fn check_change(kind: &'static str, op: QuotaOp<'_>, expected: &str) {
        let entity = quota_entity([(kind, Some("x"))]).unwrap();
        let current = QuotaValues::from([("consumer_byte_rate".to_owned(), 5.0)]);
        let shown = match change_quotas(&entity, &current, &[op]) {
            Ok(values) => format!("{values:?}"),
            Err(error) => error.message,
        };
        assert_eq!(shown, expected, "{op:?}");
    }

    #[test]
    fn limits() {
        let client = CLIENT_ID;
        check_change(client, ("consumer_byte_rate", None), "{}");
        check_change(client, ("nope", None), r#"{"consumer_byte_rate": 5.0}"#);
        check_change(
            client,
            ("request_percentage", Some(0.01)),
            r#"{"consumer_byte_rate": 5.0, "request_percentage": 0.01}"#,
        );
        check_change(client, ("producer_byte_rate", Some(0.0)), "Quota producer_byte_rate must be greater than 0");
        check_change(
            client,
            ("producer_byte_rate", Some(f64::NAN)),
            "Quota producer_byte_rate must be greater than 0",
        );
        check_change(client, ("producer_byte_rate", Some(1.5)), "producer_byte_rate cannot be a fractional value.");
        check_change(
            client,
            ("producer_byte_rate", Some(1e30)),
            "Proposed value for producer_byte_rate is too large for a LONG.",
        );
        check_change(
            client,
            ("connection_creation_rate", Some(1.0)),
            "Invalid configuration key connection_creation_rate",
        );
        check_change(client, ("nope", Some(1.0)), "Invalid configuration key nope");
        check_change(IP, ("consumer_byte_rate", Some(1.0)), "Invalid configuration key consumer_byte_rate");
        check_change(
            IP,
            ("connection_creation_rate", Some(1e10)),
            "Proposed value for connection_creation_rate is too large for an INT.",
        );
    }

    fn selected(components: &[(&str, i8, Option<&str>)], strict: bool) -> String {
        let filter = match QuotaFilter::new(components, strict) {
            Ok(filter) => filter,
            Err(error) => return error.message,
        };
        let named = |name| EntityName::new(Some(name));
        let all = [
            ("c", QuotaEntity::Client(named("c"))),
            ("C", QuotaEntity::Client(EntityName::Default)),
            ("u", QuotaEntity::User(named("u"))),
            ("U", QuotaEntity::User(EntityName::Default)),
            ("uc", QuotaEntity::UserClient(named("u"), named("c"))),
            ("uC", QuotaEntity::UserClient(named("u"), EntityName::Default)),
            ("i", QuotaEntity::Ip(named("i"))),
        ];
        all.iter().filter(|(_, entity)| filter.selects(entity)).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn filters() {
        assert_eq!(selected(&[], false), "c C u U uc uC i");
        assert_eq!(selected(&[], true), "");
        assert_eq!(selected(&[(CLIENT_ID, 2, None)], false), "c C uc uC");
        assert_eq!(selected(&[(CLIENT_ID, 2, None)], true), "c C");
        assert_eq!(selected(&[(USER, 0, Some("u"))], false), "u uc uC");
        assert_eq!(selected(&[(CLIENT_ID, 1, None)], false), "C uC");
        assert_eq!(selected(&[(USER, 0, Some("u")), (CLIENT_ID, 1, None)], true), "uC");
        assert_eq!(selected(&[(USER, 0, Some("nobody"))], false), "");
        assert_eq!(selected(&[(USER, 3, None)], false), "Unknown match type 3");
        assert_eq!(
            selected(&[(USER, 0, None)], false),
            "Request specified MATCH_TYPE_EXACT, but set match string to null."
        );
        assert_eq!(selected(&[("group", 2, None)], false), "Unsupported entity type group");
        assert_eq!(
            selected(&[(USER, 2, None), (USER, 1, None)], false),
            "Entity type user cannot appear more than once in the filter."
        );
    }
}
