//! Loggers: what is logged of which part of the broker, changed while it runs (the BROKER_LOGGER resource, KIP-412).
//!
//! A logger is a module of the broker and all that is below it, by the name that log lines show, but with dots: Kafka's
//! tools take no colon in a logger's name. `root` is everything else. Levels that are set here last until the process ends, as in Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use parking_lot::Mutex;

use crate::config::alter::Operation;
use crate::controller::AdminError;
use crate::error::ErrorCode;

/// Everything that has no level of its own.
const ROOT: &str = "root";

/// The loggers besides the root.
const LOGGERS: &[&str] = &[
    "ottla",
    "ottla.admin",
    "ottla.api",
    "ottla.broker",
    "ottla.cli",
    "ottla.config",
    "ottla.controller",
    "ottla.coordinator",
    "ottla.io",
    "ottla.log",
    "ottla.metadata",
    "ottla.net",
    "ottla.protocol",
    "ottla.quota",
    "ottla.replication",
    "ottla.telemetry",
];

/// Kafka's levels, and what the log filter calls them: there is none above an error.
const LEVELS: &[(&str, &str)] = &[
    ("DEBUG", "debug"),
    ("ERROR", "error"),
    ("FATAL", "error"),
    ("INFO", "info"),
    ("TRACE", "trace"),
    ("WARN", "warn"),
];

/// Where nothing of a filter says more.
const DEFAULT_LEVEL: &str = "ERROR";

/// The levels of all loggers, and the way to put them in force.
pub struct Loggers {
    /// The filter that the process was started with.
    filter: String,
    /// What was set since, by logger.
    set: Mutex<BTreeMap<&'static str, &'static str>>,
    put_in_force: Box<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Loggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loggers").field("filter", &self.filter).field("set", &self.set).finish_non_exhaustive()
    }
}

/// One change that a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct LevelChange<'a> {
    pub logger: &'a str,
    pub operation: Operation,
    pub level: Option<&'a str>,
}

impl Loggers {
    /// Loggers as `filter` has them, in the syntax of `RUST_LOG`; `put_in_force` takes a filter of that syntax.
    pub fn new(filter: &str, put_in_force: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { filter: filter.to_owned(), set: Mutex::default(), put_in_force: Box::new(put_in_force) }
    }

    /// Loggers that nobody listens to.
    pub fn silent() -> Self {
        Self::new("info", |_| ())
    }

    /// Every logger with its level.
    pub fn levels(&self) -> Vec<(&'static str, String)> {
        let set = self.set.lock();
        let level = |logger| match set.get(logger) {
            Some(level) => (*level).to_owned(),
            None => self.inherited(&set, logger),
        };
        LOGGERS.iter().chain([&ROOT]).map(|&logger| (logger, level(logger))).collect()
    }

    /// What a logger without a level of its own has from those above it and from the filter: the longest name counts.
    fn inherited(&self, set: &BTreeMap<&'static str, &'static str>, logger: &str) -> String {
        let target = target_of(logger);
        let from_set = set.iter().map(|(name, level)| (target_of(name), *level));
        let from_filter = self
            .filter
            .split(',')
            .map(|directive| directive.trim().split_once('=').unwrap_or(("", directive.trim())));
        let known = from_filter.filter_map(|(target, level)| {
            let level = level.to_ascii_uppercase();
            let is_level = level == "OFF" || LEVELS.iter().any(|(name, _)| *name == level);
            is_level.then(|| (target.to_owned(), level))
        });
        let all = known.chain(from_set.map(|(target, level)| (target, level.to_owned())));
        let above = all.filter(|(name, _)| target.starts_with(name.as_str()));
        above.max_by_key(|(name, _)| name.len()).map_or_else(|| DEFAULT_LEVEL.to_owned(), |(_, level)| level)
    }

    /// Changes levels, all or none. Kafka's answers where a change is none.
    pub fn change(&self, changes: &[LevelChange<'_>], validate_only: bool) -> Result<(), AdminError> {
        let mut seen = BTreeSet::new();
        if !changes.iter().all(|change| seen.insert(change.logger)) {
            return Err(invalid_request("Error due to duplicate config keys"));
        }
        let nulls = changes.iter().filter(|change| change.operation != Operation::Delete && change.level.is_none());
        let nulls: Vec<_> = nulls.map(|change| change.logger).collect();
        if !nulls.is_empty() {
            return Err(invalid_request(format!("Null value not supported for : {}", nulls.join(", "))));
        }
        let checked = changes.iter().map(check).collect::<Result<Vec<_>, _>>()?;
        if validate_only {
            return Ok(());
        }
        let mut set = self.set.lock();
        for (logger, level) in checked {
            match level {
                Some(level) => set.insert(logger, level),
                None => set.remove(logger),
            };
        }
        let filter = self.filter_with(&set);
        (self.put_in_force)(&filter);
        Ok(())
    }

    fn filter_with(&self, set: &BTreeMap<&'static str, &'static str>) -> String {
        let directives = set.iter().map(|(logger, level)| match (&*target_of(logger), filter_level(level)) {
            ("", level) => level.to_owned(),
            (target, level) => format!("{target}={level}"),
        });
        std::iter::once(self.filter.clone()).chain(directives).collect::<Vec<_>>().join(",")
    }
}

/// The target of log lines that a logger stands for; all of them for the root.
fn target_of(logger: &str) -> String {
    if logger == ROOT { String::new() } else { logger.replace('.', "::") }
}

fn filter_level(level: &str) -> &'static str {
    LEVELS.iter().find(|(name, _)| *name == level).map_or("error", |(_, filter)| filter)
}

fn check(change: &LevelChange<'_>) -> Result<(&'static str, Option<&'static str>), AdminError> {
    let name = change.logger;
    let logger = || LOGGERS.iter().chain([&ROOT]).copied().find(|known| *known == name);
    let missing = || invalid_config(format!("Logger {name} does not exist!"));
    match change.operation {
        Operation::Set => {
            let logger = logger().ok_or_else(missing)?;
            let wanted = change.level.unwrap_or_default();
            let level = LEVELS.iter().map(|(level, _)| *level).find(|level| *level == wanted);
            level.map(|level| (logger, Some(level))).ok_or_else(|| {
                let valid: Vec<_> = LEVELS.iter().map(|(level, _)| *level).collect();
                invalid_config(format!(
                    "Cannot set the log level of {name} to {wanted} as it is not a supported log level. Valid log \
                     levels are {}",
                    valid.join(", ")
                ))
            })
        }
        Operation::Delete if name == ROOT => {
            Err(invalid_request("Removing the log level of the root logger is not allowed"))
        }
        Operation::Delete => Ok((logger().ok_or_else(missing)?, None)),
        Operation::Append | Operation::Subtract => {
            let verb = if change.operation == Operation::Append { "APPEND" } else { "SUBTRACT" };
            Err(invalid_request(format!("{verb} operation is not allowed for the BROKER_LOGGER resource")))
        }
    }
}

fn invalid_request(message: impl Into<String>) -> AdminError {
    AdminError::new(ErrorCode::InvalidRequest, message)
}

fn invalid_config(message: String) -> AdminError {
    AdminError::new(ErrorCode::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn change<'a>(logger: &'a str, operation: Operation, level: Option<&'a str>) -> LevelChange<'a> {
        LevelChange { logger, operation, level }
    }

    fn level(loggers: &Loggers, name: &str) -> String {
        loggers.levels().into_iter().find(|(logger, _)| *logger == name).unwrap().1
    }

    #[test]
    fn the_longest_name_counts() {
        let in_force = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&in_force);
        let loggers = Loggers::new("warn, ottla=info,ottla::log::recovery=trace,ottla::log=debug", move |filter| {
            filter.clone_into(&mut shown.lock());
        });
        let of = |name: &str| level(&loggers, name);
        assert_eq!(
            (of("root"), of("ottla"), of("ottla.log"), of("ottla.net")),
            same(["WARN", "INFO", "DEBUG", "INFO"])
        );
        let set = |logger, level| loggers.change(&[change(logger, Operation::Set, Some(level))], false);
        set("ottla.net", "FATAL").unwrap();
        set("root", "ERROR").unwrap();
        assert_eq!(
            (of("root"), of("ottla"), of("ottla.log"), of("ottla.net")),
            same(["ERROR", "INFO", "DEBUG", "FATAL"])
        );
        assert!(in_force.lock().ends_with("ottla::log=debug,ottla::net=error,error"), "{}", in_force.lock());
        loggers.change(&[change("ottla.net", Operation::Delete, None)], false).unwrap();
        assert_eq!(of("ottla.net"), "INFO");
        set("ottla", "TRACE").unwrap();
        assert_eq!((of("ottla.net"), of("ottla.log")), ("TRACE".to_owned(), "DEBUG".to_owned()));
    }

    fn same(levels: [&str; 4]) -> (String, String, String, String) {
        let [one, two, three, four] = levels.map(str::to_owned);
        (one, two, three, four)
    }

    #[track_caller]
    fn refused(changes: &[LevelChange<'_>], expected: &str) {
        let loggers = Loggers::new("info", |_| panic!("nothing is put in force"));
        let error = loggers.change(changes, false).unwrap_err();
        assert_eq!(format!("{:?}: {}", error.code, error.message), expected);
    }

    // Kafka's words.
    #[test]
    fn what_is_no_change_is_refused() {
        let info = change("ottla", Operation::Set, Some("INFO"));
        refused(&[info, info], "InvalidRequest: Error due to duplicate config keys");
        refused(&[change("ottla", Operation::Set, None)], "InvalidRequest: Null value not supported for : ottla");
        refused(&[info, change("nope", Operation::Set, Some("INFO"))], "InvalidConfig: Logger nope does not exist!");
        refused(&[change("nope", Operation::Delete, None)], "InvalidConfig: Logger nope does not exist!");
        refused(
            &[change("root", Operation::Delete, None)],
            "InvalidRequest: Removing the log level of the root logger is not allowed",
        );
        refused(
            &[change("ottla", Operation::Append, Some("INFO"))],
            "InvalidRequest: APPEND operation is not allowed for the BROKER_LOGGER resource",
        );
        refused(
            &[change("ottla", Operation::Set, Some("debug"))],
            "InvalidConfig: Cannot set the log level of ottla to debug as it is not a supported log level. Valid log \
             levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
        );
    }
}
