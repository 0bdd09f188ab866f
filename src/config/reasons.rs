//! What the tables say to somebody whose key is refused, or belongs to machinery that Ottla replaces.

// Completing "... is not honoured: ".
pub(super) const AUTHORIZATION: &str = "this build has no authorizer, everybody could do everything";
pub(super) const TLS: &str = "this build has no TLS, listeners would be open and unencrypted";
pub(super) const SASL: &str = "this build has no SASL, nobody would have to authenticate";
pub(super) const SECURITY_PROTOCOL: &str = "this build speaks PLAINTEXT only";
pub(super) const POLICY: &str = "Java classes can not be loaded, the policy would not be applied";
pub(super) const QUOTA_CALLBACK: &str = "Java classes can not be loaded, the quotas would not be applied";
pub(super) const PROVIDERS: &str =
    "values are not fetched from elsewhere, write them into the file or the environment";
pub(super) const TIERED_STORAGE: &str =
    "this build has no remote storage, records would stay on local disk or be deleted";
pub(super) const CORDONED: &str = "new partitions would still be placed there";

// Standing alone, after the key's name.
pub(super) const ROLES: &str = "every Ottla node serves clients and keeps the metadata; roles are not configured";
pub(super) const QUORUM: &str = "there is no KRaft quorum; the metadata store (key `metadata`) takes its place";
pub(super) const ZOOKEEPER: &str = "there is no ZooKeeper; the metadata store (key `metadata`) takes its place";
pub(super) const METADATA_STORE: &str =
    "there is no metadata log; the metadata store (key `metadata`) takes its place";
pub(super) const CONTROLLER_LISTENER: &str =
    "listeners named here are not opened; controllers talk through the metadata store (key `metadata`)";
pub(super) const NO_AUTHORIZER: &str = "it has no effect without an authorizer";
pub(super) const METRICS: &str = "metrics are served at http://<admin.listeners>/metrics";
pub(super) const ONE_PROTOCOL: &str =
    "every node speaks the newest protocol; upgrades are governed by feature levels";
pub(super) const ONE_FORMAT: &str = "records are always stored in format v2";
