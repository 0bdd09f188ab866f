//! TLS.

use super::rows::broker_keys;
use crate::config::key::{ANY, Key, REPORTED, one_of, refused};
use crate::config::reasons::TLS;

pub(super) const KEYS: &[Key] = broker_keys! {
    Boolean "ssl.allow.dn.changes" = "false", ANY, ReadOnly, REPORTED;
        "Whether a certificate replaced at run time may have another name."
    Boolean "ssl.allow.san.changes" = "false", ANY, ReadOnly, REPORTED;
        "Whether a certificate replaced at run time may have other alternative names."
    List "ssl.cipher.suites" = "", ANY, PerBroker, refused(TLS);
        "The cipher suites offered; empty is all the library has."
    String "ssl.client.auth" = "none", one_of(&["required", "requested", "none"]), PerBroker, refused(TLS);
        "Whether clients must, may or need not present a certificate."
    List "ssl.enabled.protocols" = "TLSv1.2,TLSv1.3", ANY, PerBroker, refused(TLS);
        "The TLS versions offered."
    String "ssl.endpoint.identification.algorithm" = "https", ANY, PerBroker, refused(TLS);
        "How a peer's certificate is matched with its host name."
    Class "ssl.engine.factory.class" = null, ANY, PerBroker, refused(TLS);
        "The Java class that makes TLS engines."
    Password "ssl.key.password" = null, ANY, PerBroker, refused(TLS);
        "The password of the private key."
    String "ssl.keymanager.algorithm" = "SunX509", ANY, PerBroker, REPORTED;
        "The Java algorithm that manages keys."
    Password "ssl.keystore.certificate.chain" = null, ANY, PerBroker, refused(TLS);
        "The broker's certificate chain, as text."
    Password "ssl.keystore.key" = null, ANY, PerBroker, refused(TLS);
        "The broker's private key, as text."
    String "ssl.keystore.location" = null, ANY, PerBroker, refused(TLS);
        "The file with the broker's key and certificate."
    Password "ssl.keystore.password" = null, ANY, PerBroker, refused(TLS);
        "The password of that file."
    String "ssl.keystore.type" = "JKS", ANY, PerBroker, REPORTED;
        "The format of the key store."
    String "ssl.principal.mapping.rules" = "DEFAULT", ANY, ReadOnly, refused(TLS);
        "How a certificate's name becomes a principal."
    String "ssl.protocol" = "TLSv1.3", ANY, PerBroker, REPORTED;
        "The Java name of the protocol that contexts are made with."
    String "ssl.provider" = null, ANY, PerBroker, REPORTED;
        "The Java provider of TLS."
    String "ssl.secure.random.implementation" = null, ANY, PerBroker, REPORTED;
        "The Java source of random numbers."
    String "ssl.trustmanager.algorithm" = "PKIX", ANY, PerBroker, REPORTED;
        "The Java algorithm that manages trust."
    Password "ssl.truststore.certificates" = null, ANY, PerBroker, refused(TLS);
        "The trusted certificates, as text."
    String "ssl.truststore.location" = null, ANY, PerBroker, refused(TLS);
        "The file with the trusted certificates."
    Password "ssl.truststore.password" = null, ANY, PerBroker, refused(TLS);
        "The password of that file."
    String "ssl.truststore.type" = "JKS", ANY, PerBroker, REPORTED;
        "The format of the trust store."
};
