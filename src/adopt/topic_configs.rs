//! `--adopt-configs`: what ZooKeeper knows of topics and the disk does not: configurations, how many partitions there are
//! on all nodes together, and, before 3.0, ids.
//!
//! The file is what Kafka's own tools print about a running cluster, of any version:
//!
//! ```text
//!  kafka-topics.sh --describe
//!    Topic: orders  TopicId: cJxE...  PartitionCount: 3  ReplicationFactor: 1  Configs: cleanup.policy=compact,delete,retention.ms=1000
//!      Topic: orders  Partition: 0  Leader: 1 ...                         (such lines are passed over)
//!
//!  kafka-configs.sh --describe --entity-type topics [--all]
//!    Dynamic configs for topic orders are:
//!      retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000}
//!    Configs for topic 'orders' are retention.ms=1000                     (before 2.5)
//! ```
//! With `--all`, only what the topic itself sets counts: the rest are the broker's defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::ConfigOverrides;
use crate::ids::TopicId;
use crate::metadata::image::MAX_TOPIC_PARTITIONS;

/// What a file tells, by topic.
pub type TopicConfigs = BTreeMap<String, ToldTopic>;

/// What a file tells of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldTopic {
    /// In Kafka's form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    pub settings: ConfigOverrides,
}

/// A line that neither tool prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct TopicConfigsError {
    /// From 1.
    pub line: usize,
    pub reason: String,
}

/// Reads what the tools print.
pub fn parse(text: &str) -> Result<TopicConfigs, TopicConfigsError> {
    let mut configs = TopicConfigs::new();
    let mut current: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let refused = |reason: String| TopicConfigsError { line: index + 1, reason };
        let trimmed = line.trim();
        if trimmed.is_empty() {
            continue;
        }
        if let Some(rest) = trimmed.strip_prefix("Topic:") {
            current = None;
            describe_topics_line(rest, &mut configs).map_err(refused)?;
        } else if let Some((topic, settings)) = describe_configs_head(trimmed) {
            configs.entry(topic.clone()).or_default().settings.extend(settings.map_err(refused)?);
            current = Some(topic);
        } else if let Some(topic) = current.as_ref().filter(|_| line.starts_with([' ', '\t'])) {
            if let Some((key, value)) = describe_configs_line(trimmed).map_err(refused)? {
                configs.entry(topic.clone()).or_default().settings.insert(key, value);
            }
        } else {
            return Err(refused(format!("'{}' is no line of kafka-topics or kafka-configs", shortened(trimmed))));
        }
    }
    Ok(configs)
}

/// The line of a topic; those of its partitions have no configurations.
fn describe_topics_line(rest: &str, configs: &mut TopicConfigs) -> Result<(), String> {
    let Some((head, settings)) = rest.split_once("Configs:") else {
        return if rest.contains("Partition:") { Ok(()) } else { Err("a topic without 'Configs:'".to_owned()) };
    };
    let mut words = head.split([' ', '\t', ':']).filter(|word| !word.is_empty());
    let topic = words.next().ok_or("no name behind 'Topic:'")?;
    let told = configs.entry(topic.to_owned()).or_default();
    while let Some(word) = words.next() {
        match (word, words.next()) {
            ("TopicId", Some(id)) => {
                told.id = Some(id.parse::<TopicId>().map_err(|error| error.to_string())?.to_string());
            }
            ("PartitionCount", Some(count)) => {
                let count = count.parse().ok().filter(|count| (1..=MAX_TOPIC_PARTITIONS).contains(count));
                told.partitions = Some(count.ok_or("that is no number of partitions")?);
            }
            _ => {}
        }
    }
    told.settings.extend(settings_of(settings.trim())?);
    Ok(())
}

/// `... configs for topic <name> are[:] [settings]`.
fn describe_configs_head(line: &str) -> Option<(String, Result<ConfigOverrides, String>)> {
    let (_, rest) = line.split_once("onfigs for topic ")?;
    let (topic, settings) = rest.split_once(" are")?;
    let settings = settings.trim_start_matches(':').trim();
    Some((topic.trim_matches('\'').to_owned(), settings_of(settings)))
}

/// `key=value sensitive=false synonyms={SOURCE:key=value, ...}`; `None` for what the topic does not set itself.
fn describe_configs_line(line: &str) -> Result<Option<(String, String)>, String> {
    let (setting, synonyms) = line.split_once(" sensitive=").unwrap_or((line, ""));
    let is_own = synonyms.is_empty() || synonyms.contains("DYNAMIC_TOPIC_CONFIG:");
    let setting = setting.split_once('=').ok_or_else(|| format!("'{}' is no setting", shortened(line)))?;
    Ok(is_own.then(|| (setting.0.to_owned(), setting.1.to_owned())))
}

/// `key=value,key=value`, where values have commas of their own: a comma ends one only in front of another key.
fn settings_of(text: &str) -> Result<ConfigOverrides, String> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        match (part.split_once('=').filter(|(key, _)| is_key(key)), settings.last_mut()) {
            (Some((key, value)), _) => settings.push((key.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push(',');
                value.push_str(part);
            }
            (None, None) => return Err(format!("'{}' is no setting", shortened(part))),
        }
    }
    Ok(settings.into_iter().collect())
}

fn is_key(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.')
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owned(settings: &[(&str, &str)]) -> ConfigOverrides {
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_kafka_topics_prints_is_read() {
        let told = parse(
            "Topic: orders\tTopicId: cJxEX1nhTAyKBCrSuMaHEw\tPartitionCount: 3\tReplicationFactor: 1\t\
             Configs: cleanup.policy=compact,delete,retention.ms=1000\n\
             \tTopic: orders\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: \n\
             Topic:plain\tPartitionCount:1\tReplicationFactor:1\tConfigs:\n\
             \tTopic: plain\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1\n",
        );
        let orders = ToldTopic {
            id: Some("cJxEX1nhTAyKBCrSuMaHEw".to_owned()),
            partitions: Some(3),
            settings: owned(&[("cleanup.policy", "compact,delete"), ("retention.ms", "1000")]),
        };
        let plain = ToldTopic { partitions: Some(1), ..ToldTopic::default() };
        let expected = TopicConfigs::from([("orders".to_owned(), orders), ("plain".to_owned(), plain)]);
        assert_eq!(told.unwrap(), expected);
    }

    #[test]
    fn what_kafka_configs_prints_is_read() {
        let told = parse(
            "Dynamic configs for topic orders are:\n  \
             retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000, DEFAULT_CONFIG:log.retention.hours=168}\n\
             Configs for topic 'old' are segment.bytes=1048576,retention.ms=5\n\
             All configs for topic all are:\n  \
             cleanup.policy=delete sensitive=false synonyms={DEFAULT_CONFIG:log.cleanup.policy=delete}\n  \
             segment.ms=7 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:segment.ms=7}\n",
        );
        let settings = told.unwrap().into_iter().map(|(topic, told)| (topic, told.settings));
        let expected = [
            ("all".to_owned(), owned(&[("segment.ms", "7")])),
            ("old".to_owned(), owned(&[("retention.ms", "5"), ("segment.bytes", "1048576")])),
            ("orders".to_owned(), owned(&[("retention.ms", "1000")])),
        ];
        assert_eq!(settings.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn other_lines_are_named() {
        let error = |text| parse(text).unwrap_err().to_string();
        assert_eq!(error("\nhello"), "line 2: 'hello' is no line of kafka-topics or kafka-configs");
        assert_eq!(error("Topic: orders\tConfigs: x"), "line 1: 'x' is no setting");
        assert_eq!(error("Topic: orders"), "line 1: a topic without 'Configs:'");
        let bad_count = error("Topic: orders\tPartitionCount: 0\tConfigs: ");
        assert_eq!(bad_count, "line 1: that is no number of partitions");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "((Topic: |Configs:| are:|a.b=|,|=|\t|\n|[a-z. ]){0,12})") {
            let _ = parse(&text);
        }
    }
}
