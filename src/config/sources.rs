//! Where settings come from, and which wins: defaults < file < environment < `--set`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::errors::ConfigError;
use super::properties;

/// Everything that configures a broker, already read: the configuration itself touches no file and no environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`: the path, for messages, and what the file holds.
    pub file: Option<(PathBuf, String)>,
    /// The whole environment; what is no setting is left alone.
    pub env: Vec<(String, String)>,
    /// Each `--set key=value`.
    pub set: Vec<String>,
}

/// A value that somebody gave, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub value: String,
    pub origin: Origin,
}

/// Where a setting was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    File { path: PathBuf, line: usize },
    Environment(String),
    CommandLine,
}

/// As messages begin: `server.properties:12`, `environment OTTLA_NODE_ID`, `--set`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::CommandLine => f.write_str("--set"),
        }
    }
}

/// The settings in force, by key.
pub(super) type Settings = BTreeMap<String, Setting>;

/// One setting for each key, the strongest; what can not be read goes to `errors`.
pub(super) fn merge(sources: &Sources, errors: &mut Vec<ConfigError>) -> Settings {
    let mut settings = Settings::new();
    if let Some((path, text)) = &sources.file {
        let (properties, bad_lines) = properties::parse(text);
        for property in properties {
            let origin = Origin::File { path: path.clone(), line: property.line };
            settings.insert(property.key, Setting { value: property.value, origin });
        }
        for bad in bad_lines {
            let origin = Origin::File { path: path.clone(), line: bad.line };
            errors.push(ConfigError::at(&origin, bad.reason));
        }
    }
    // Ottla's own names after Kafka's, so that they win.
    for prefix in [KAFKA_PREFIX, OTTLA_PREFIX] {
        for (name, value) in &sources.env {
            if let Some(key) = key_of_variable(prefix, name) {
                let origin = Origin::Environment(name.clone());
                settings.insert(key, Setting { value: value.clone(), origin });
            }
        }
    }
    for pair in &sources.set {
        match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                let setting = Setting { value: value.to_owned(), origin: Origin::CommandLine };
                settings.insert(key.trim().to_owned(), setting);
            }
            _ => errors.push(ConfigError::at(&Origin::CommandLine, format!("'{pair}' is not of the form key=value"))),
        }
    }
    settings
}

const KAFKA_PREFIX: &str = "KAFKA_";
const OTTLA_PREFIX: &str = "OTTLA_";

/// Variables of Kafka's scripts and images, which they do not turn into settings either.
const NO_SETTINGS: &[&str] = &[
    "KAFKA_CLUSTER_ID",
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_MODE",
    "KAFKA_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_VERSION",
    // The command line's own.
    "OTTLA_CONFIG",
    "OTTLA_LOG",
];
const NO_SETTINGS_PREFIXES: &[&str] = &["KAFKA_JMX_", "KAFKA_LOG4J_"];

/// The key that an environment variable sets: `OTTLA_LOG_RETENTION_MS` is `log.retention.ms`. In names, `_` stands for
/// `.`, `__` for `_` and `___` for `-`, as in Kafka's image.
fn key_of_variable(prefix: &str, name: &str) -> Option<String> {
    let rest = name.strip_prefix(prefix).filter(|rest| !rest.is_empty())?;
    let foreign = NO_SETTINGS.contains(&name)
        || NO_SETTINGS_PREFIXES.iter().any(|skipped| name.starts_with(skipped))
        || is_service_variable(rest);
    let key =
        || rest.to_ascii_lowercase().replace("___", "-").replace("__", "\0").replace('_', ".").replace('\0', "_");
    (!foreign).then(key)
}

/// Kubernetes describes a service called `kafka` as `KAFKA_SERVICE_HOST`, `KAFKA_PORT_9092_TCP_ADDR` and so on.
fn is_service_variable(rest: &str) -> bool {
    rest == "PORT"
        || rest == "SERVICE_HOST"
        || rest == "SERVICE_PORT"
        || rest.starts_with("SERVICE_PORT_")
        || rest.strip_prefix("PORT_").is_some_and(|port| port.starts_with(|digit: char| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, key: Option<&str>) {
        let prefix = if name.starts_with(OTTLA_PREFIX) { OTTLA_PREFIX } else { KAFKA_PREFIX };
        assert_eq!(key_of_variable(prefix, name).as_deref(), key, "{name}");
    }

    #[test]
    fn variables_name_keys() {
        check("OTTLA_LOG_RETENTION_MS", Some("log.retention.ms"));
        check("KAFKA_LOG_RETENTION_MS", Some("log.retention.ms"));
        check("KAFKA_NODE_ID", Some("node.id"));
        check("KAFKA_A___B__C_D", Some("a-b_c.d"));
        check("KAFKA_LISTENER_NAME_MY___LISTENER_MAX_CONNECTIONS", Some("listener.name.my-listener.max.connections"));
        check("KAFKA_KAFKA_METRICS_REPORTERS", Some("kafka.metrics.reporters"));
        check("OTTLA_METADATA", Some("metadata"));
    }

    #[test]
    fn other_variables_are_left_alone() {
        for name in NO_SETTINGS {
            check(name, None);
        }
        for name in ["PATH", "KAFKA_", "XKAFKA_NODE_ID", "KAFKA_JMX_OPTS", "KAFKA_LOG4J_ROOT_LOGLEVEL"] {
            check(name, None);
        }
        for name in ["KAFKA_PORT", "KAFKA_SERVICE_HOST", "KAFKA_SERVICE_PORT_KAFKA", "KAFKA_PORT_9092_TCP_ADDR"] {
            check(name, None);
        }
    }

    fn merged(file: &str, env: &[(&str, &str)], set: &[&str]) -> (Vec<String>, Vec<String>) {
        let sources = Sources {
            file: Some(("f".into(), file.to_owned())),
            env: env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            set: set.iter().map(|&pair| pair.to_owned()).collect(),
        };
        let mut errors = Vec::new();
        let settings = merge(&sources, &mut errors);
        let shown = settings.iter().map(|(key, setting)| format!("{key}={} {}", setting.value, setting.origin));
        (shown.collect(), errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_strongest_source_wins() {
        let file = "node.id=1\n\nnode.id=2";
        assert_eq!(merged(file, &[], &[]).0, ["node.id=2 f:3"]);
        let both = [("OTTLA_NODE_ID", "4"), ("KAFKA_NODE_ID", "3")];
        assert_eq!(merged(file, &both[1..], &[]).0, ["node.id=3 environment KAFKA_NODE_ID"]);
        assert_eq!(merged(file, &both, &[]).0, ["node.id=4 environment OTTLA_NODE_ID"]);
        assert_eq!(merged(file, &both, &["node.id=5", "node.id=6"]).0, ["node.id=6 --set"]);
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        let (settings, errors) = merged("a=\\u1\nb=1", &[], &["c", "=d", "e=f=g"]);
        assert_eq!(settings, ["b=1 f:2", "e=f=g --set"]);
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].starts_with("f:1: "), "{errors:?}");
    }
}
