//! How a row of the tables is written:
//!
//! ```text
//! Type "name" = "default", valid values, Scope, SUPPORT; "Doc."                       (broker)
//! Type "name" = "default", valid values, SUPPORT, from ["broker.key" * unit]; "Doc."  (others, behind their Scope;)
//! ```

macro_rules! default_value {
    (null) => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

macro_rules! broker_keys {
    ($($kind:ident $name:literal = $default:tt, $valid:expr, $scope:ident, $support:expr $(, $internal:ident)?;
       $doc:literal)*) => {
        &[$($crate::config::key::Key {
            name: $name,
            kind: $crate::config::key::Kind::$kind,
            default: $crate::config::keys::rows::default_value!($default),
            valid: $valid,
            scope: $crate::config::key::Scope::$scope,
            support: $support,
            synonyms: &[],
            internal: $crate::config::keys::rows::is_internal!($($internal)?),
            doc: $doc,
        }),*]
    };
}

macro_rules! resource_keys {
    ($scope:ident; $($kind:ident $name:literal = $default:tt, $valid:expr, $support:expr,
       from [$($synonym:literal $(* $unit:literal)?),*] $($internal:ident)?;
       $doc:literal)*) => {
        &[$($crate::config::key::Key {
            name: $name,
            kind: $crate::config::key::Kind::$kind,
            default: $crate::config::keys::rows::default_value!($default),
            valid: $valid,
            scope: $crate::config::key::Scope::$scope,
            support: $support,
            synonyms: &[$($crate::config::key::Synonym {
                key: $synonym,
                unit: 1 $(* $unit)?,
            }),*],
            internal: $crate::config::keys::rows::is_internal!($($internal)?),
            doc: $doc,
        }),*]
    };
}

macro_rules! is_internal {
    () => {
        false
    };
    ($internal:ident) => {
        true
    };
}

pub(super) use {broker_keys, default_value, is_internal, resource_keys};
