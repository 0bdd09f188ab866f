//! Authorization, principals, policies and delegation tokens.

use super::rows::broker_keys;
use crate::config::key::{ANY, Key, REPORTED, at_least, one_of, refused};
use crate::config::reasons::{AUTHORIZATION, PROVIDERS, SASL, SECURITY_PROTOCOL, TLS};

pub(super) const KEYS: &[Key] = broker_keys! {
    String "authorizer.class.name" = "", ANY, ReadOnly, refused(AUTHORIZATION);
        "The Java class that decides who may do what; empty lets everybody do everything."
    Class "principal.builder.class" =
        "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        ANY, PerBroker, refused(AUTHORIZATION);
        "The Java class that turns a connection into a principal."
    String "security.inter.broker.protocol" = "PLAINTEXT", one_of(&["PLAINTEXT", "SSL",
        "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly, refused(SECURITY_PROTOCOL);
        "The security protocol between brokers, where inter.broker.listener.name is not set."
    String "security.providers" = null, ANY, ReadOnly, refused(TLS);
        "Java classes that bring security algorithms."
    List "config.providers" = "", ANY, ClusterWide, refused(PROVIDERS);
        "Java classes that fetch values from elsewhere."
    Int "connection.failed.authentication.delay.ms" = "100", at_least(0), ReadOnly, REPORTED;
        "How long the close of a connection is delayed after a failed authentication."
    Long "connections.max.reauth.ms" = "0", ANY, ReadOnly, refused(SASL);
        "How long a session lasts before its client must authenticate again."
    Long "delegation.token.expiry.check.interval.ms" = "3600000", at_least(1), ReadOnly, REPORTED;
        "How often expired delegation tokens are removed."
    Long "delegation.token.expiry.time.ms" = "86400000", at_least(1), ReadOnly, REPORTED;
        "How long a delegation token is valid before it is renewed."
    Long "delegation.token.max.lifetime.ms" = "604800000", at_least(1), ReadOnly, REPORTED;
        "How long a delegation token may live in all."
    Password "delegation.token.secret.key" = null, ANY, ReadOnly, refused(SASL);
        "The secret that delegation tokens are signed with."
};
