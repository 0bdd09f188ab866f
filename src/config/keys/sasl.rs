//! SASL.

use super::rows::broker_keys;
use crate::config::key::{ANY, Key, REPORTED, between, one_of_any_case, refused};
use crate::config::reasons::SASL;

pub(super) const KEYS: &[Key] = broker_keys! {
    Class "sasl.client.callback.handler.class" = null, ANY, ReadOnly, refused(SASL);
        "The Java class that answers SASL's questions on the client's side."
    List "sasl.enabled.mechanisms" = "GSSAPI", ANY, PerBroker, refused(SASL);
        "The SASL mechanisms a listener offers."
    Password "sasl.jaas.config" = null, ANY, PerBroker, refused(SASL);
        "Java's login configuration of a listener."
    String "sasl.kerberos.kinit.cmd" = "/usr/bin/kinit", ANY, PerBroker, REPORTED;
        "The path of kinit."
    Long "sasl.kerberos.min.time.before.relogin" = "60000", ANY, PerBroker, REPORTED;
        "The shortest pause between two Kerberos logins."
    List "sasl.kerberos.principal.to.local.rules" = "DEFAULT", ANY, PerBroker, refused(SASL);
        "How a Kerberos principal becomes a short name."
    String "sasl.kerberos.service.name" = null, ANY, PerBroker, refused(SASL);
        "The Kerberos name the brokers run under."
    Double "sasl.kerberos.ticket.renew.jitter" = "0.05", ANY, PerBroker, REPORTED;
        "How random the renewal time of a ticket is."
    Double "sasl.kerberos.ticket.renew.window.factor" = "0.8", ANY, PerBroker, REPORTED;
        "At which share of its life a ticket is renewed."
    Class "sasl.login.callback.handler.class" = null, ANY, ReadOnly, refused(SASL);
        "The Java class that answers SASL's questions at login."
    Class "sasl.login.class" = null, ANY, ReadOnly, refused(SASL);
        "The Java class that logs in."
    Int "sasl.login.connect.timeout.ms" = null, ANY, ReadOnly, REPORTED;
        "How long a connection to the identity provider may take."
    Int "sasl.login.read.timeout.ms" = null, ANY, ReadOnly, REPORTED;
        "How long an answer of the identity provider may take."
    Short "sasl.login.refresh.buffer.seconds" = "300", ANY, PerBroker, REPORTED;
        "How long before its end a credential is renewed at the latest."
    Short "sasl.login.refresh.min.period.seconds" = "60", ANY, PerBroker, REPORTED;
        "The shortest time between two renewals of a credential."
    Double "sasl.login.refresh.window.factor" = "0.8", ANY, PerBroker, REPORTED;
        "At which share of its life a credential is renewed."
    Double "sasl.login.refresh.window.jitter" = "0.05", ANY, PerBroker, REPORTED;
        "How random that time is."
    Long "sasl.login.retry.backoff.max.ms" = "10000", ANY, ReadOnly, REPORTED;
        "The longest pause between two tries to log in."
    Long "sasl.login.retry.backoff.ms" = "100", ANY, ReadOnly, REPORTED;
        "The first pause between two tries to log in."
    String "sasl.mechanism.controller.protocol" = "GSSAPI", ANY, ReadOnly, refused(SASL);
        "The SASL mechanism towards Kafka's controller."
    String "sasl.mechanism.inter.broker.protocol" = "GSSAPI", ANY, PerBroker, refused(SASL);
        "The SASL mechanism between brokers."
    String "sasl.oauthbearer.assertion.algorithm" = "RS256", one_of_any_case(&["ES256", "RS256"]), ReadOnly, REPORTED;
        "The algorithm an assertion is signed with."
    String "sasl.oauthbearer.assertion.claim.aud" = null, ANY, ReadOnly, REPORTED;
        "The audience claim of an assertion."
    Int "sasl.oauthbearer.assertion.claim.exp.seconds" = "300", between(0, 86_400), ReadOnly, REPORTED;
        "How long an assertion is valid."
    String "sasl.oauthbearer.assertion.claim.iss" = null, ANY, ReadOnly, REPORTED;
        "The issuer claim of an assertion."
    Boolean "sasl.oauthbearer.assertion.claim.jti.include" = "false", ANY, ReadOnly, REPORTED;
        "Whether an assertion carries an id of its own."
    Int "sasl.oauthbearer.assertion.claim.nbf.seconds" = "60", between(0, 3_600), ReadOnly, REPORTED;
        "How long before now an assertion is valid."
    String "sasl.oauthbearer.assertion.claim.sub" = null, ANY, ReadOnly, REPORTED;
        "The subject claim of an assertion."
    String "sasl.oauthbearer.assertion.file" = null, ANY, ReadOnly, REPORTED;
        "A file with a ready-made assertion."
    String "sasl.oauthbearer.assertion.private.key.file" = null, ANY, ReadOnly, REPORTED;
        "The file with the key that signs assertions."
    Password "sasl.oauthbearer.assertion.private.key.passphrase" = null, ANY, ReadOnly, REPORTED;
        "The passphrase of that file."
    String "sasl.oauthbearer.assertion.template.file" = null, ANY, ReadOnly, REPORTED;
        "A file with further headers and claims of assertions."
    String "sasl.oauthbearer.client.credentials.client.id" = null, ANY, ReadOnly, REPORTED;
        "The name under which the broker asks for a token."
    Password "sasl.oauthbearer.client.credentials.client.secret" = null, ANY, ReadOnly, REPORTED;
        "The secret with which the broker asks for a token."
    Int "sasl.oauthbearer.clock.skew.seconds" = "30", ANY, ReadOnly, REPORTED;
        "How far the identity provider's clock may differ."
    List "sasl.oauthbearer.expected.audience" = "", ANY, ReadOnly, refused(SASL);
        "The audiences a token must be made for."
    String "sasl.oauthbearer.expected.issuer" = null, ANY, ReadOnly, refused(SASL);
        "The issuer a token must come from."
    Long "sasl.oauthbearer.jwks.endpoint.refresh.ms" = "3600000", ANY, ReadOnly, REPORTED;
        "How often the identity provider's keys are fetched."
    Long "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" = "10000", ANY, ReadOnly, REPORTED;
        "The longest pause between two tries to fetch those keys."
    Long "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" = "100", ANY, ReadOnly, REPORTED;
        "The first pause between two tries to fetch those keys."
    String "sasl.oauthbearer.jwks.endpoint.url" = null, ANY, ReadOnly, refused(SASL);
        "Where the identity provider's keys are found."
    Class "sasl.oauthbearer.jwt.retriever.class" =
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
        ANY, ReadOnly, REPORTED;
        "The Java class that fetches tokens."
    Class "sasl.oauthbearer.jwt.validator.class" =
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
        ANY, ReadOnly, refused(SASL);
        "The Java class that checks tokens."
    String "sasl.oauthbearer.scope" = null, ANY, ReadOnly, REPORTED;
        "The scope the broker asks for."
    String "sasl.oauthbearer.scope.claim.name" = "scope", ANY, ReadOnly, refused(SASL);
        "The claim of a token that holds its scope."
    String "sasl.oauthbearer.sub.claim.name" = "sub", ANY, ReadOnly, refused(SASL);
        "The claim of a token that holds its subject."
    String "sasl.oauthbearer.token.endpoint.url" = null, ANY, ReadOnly, REPORTED;
        "Where tokens are asked for."
    Class "sasl.server.callback.handler.class" = null, ANY, ReadOnly, refused(SASL);
        "The Java class that checks what SASL clients present."
    Int "sasl.server.max.receive.size" = "524288", ANY, ReadOnly, REPORTED;
        "The largest frame accepted before a client has authenticated."
};
