//! `docs/configuration.md`, written from the table.

use std::fmt::Write;

use super::broker_config::{MetadataKind, default_value};
use super::key::{Key, Scope, Support};
use super::keys::{BROKER_AREAS, CLIENT_METRICS_KEYS, GROUP_KEYS, TOPIC_KEYS};

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from the table in src/config/keys by src/config/page.rs; see the test there. -->

Ottla reads Kafka's own `server.properties`: the same keys, the same defaults, the same dynamic settings. Nothing has
to be set: without any configuration a broker listens on `localhost:9092` and keeps its data in `./ottla-data`.

## Where settings come from

The later ones win:

1. the defaults below;
2. the file named by `--config`, in Java's properties format;
3. environment variables: `OTTLA_LOG_RETENTION_MS` or, as in Kafka's image, `KAFKA_LOG_RETENTION_MS` sets
   `log.retention.ms`. In names, `_` stands for `.`, `__` for `_` and `___` for `-`. If both are set, `OTTLA_` wins.
   Variables of Kafka's scripts (`KAFKA_HEAP_OPTS`, `KAFKA_OPTS`, `KAFKA_JMX_*`, `KAFKA_LOG4J_*` and the like) are
   left alone;
4. `--set key=value` on the command line.

While the broker runs, `kafka-configs` changes keys marked *per-broker* or *cluster-wide* below, and those of topics,
groups and subscriptions.
`ottla config` prints every key with its value and where it comes from.

## What is accepted, and what stops the start

A bad value stops the start with its place, key, value and range; all problems are told at once. An unknown key is a
warning that names it. The last column of the tables says more:

- nothing: the broker acts on the key;
- *kept and shown*: the key is accepted and reported, and has no effect (yet);
- *stops the start*: any value but the default is refused, because it restricts access or changes durability and this
  build would not honour it. A file written for a secured broker never starts an open one. The same goes for
  `super.users`, for listeners that are not `PLAINTEXT`, and for values of the form `${provider:...}`;
- *replaced*: the key belongs to machinery of Kafka that Ottla does not have (KRaft's quorum, ZooKeeper). It is
  answered with one line that says what takes its place.

Listeners named in `controller.listener.names` are not opened, and `process.roles=controller` is refused: every Ottla
node serves clients.

Where Ottla's defaults differ from Kafka's: `node.id`, `process.roles`, `listeners` and `log.dir` have one, so that a
broker starts with nothing given, and with the metadata store of a single node (`metadata=embedded` or `memory`)
internal topics have one replica. `listeners` and `listener.security.protocol.map` can not be changed at run time.
";

/// What has keys of its own beside the broker.
const RESOURCES: [(&str, &str, &[Key]); 3] = [
    (
        "Topics",
        "A topic that does not set a key takes the broker's value, by the key in the third column.",
        TOPIC_KEYS,
    ),
    (
        "Groups",
        "The same goes for a group (`kafka-configs --entity-type groups`). Its values lie between the broker's \
         `group.*.min.*` and `group.*.max.*`.",
        GROUP_KEYS,
    ),
    (
        "Subscriptions to clients' metrics",
        "Each (`kafka-client-metrics`) tells the clients that match which metrics they push, and how often (KIP-714).",
        CLIENT_METRICS_KEYS,
    ),
];

/// The page.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for (title, introduction, keys) in RESOURCES {
        let _ = write!(page, "\n## {title}\n\n{introduction}\n\n");
        page.push_str("| key | type and values | default, or broker key | meaning |\n|---|---|---|---|\n");
        for key in keys.iter().filter(|key| !key.internal) {
            row(&mut page, key, &topic_default_cell(key), &[]);
        }
    }
    for area in BROKER_AREAS {
        let shown: Vec<_> = area.keys.iter().filter(|key| !key.internal).collect();
        let _ = write!(page, "\n## Broker: {}\n\n", area.title);
        page.push_str("| key | type and values | default | change | meaning |\n|---|---|---|---|---|\n");
        for key in shown {
            let scope = if key.scope == Scope::ReadOnly { "restart".to_owned() } else { key.scope.to_string() };
            row(&mut page, key, &value_cell(default_value(key, MetadataKind::Embedded)), &[&scope]);
        }
    }
    page
}

fn row(page: &mut String, key: &Key, default: &str, more: &[&str]) {
    let range = key.valid.to_string();
    let values = if range.is_empty() { key.kind.to_string() } else { format!("{} {range}", key.kind) };
    let mut cells = vec![format!("`{}`", key.name), values, default.to_owned()];
    cells.extend(more.iter().map(|&cell| cell.to_owned()));
    cells.push(match key.support {
        Support::Honoured => key.doc.to_owned(),
        Support::Reported => format!("{} *Kept and shown.*", key.doc),
        Support::RefusedWhenSet(reason) => format!("{} *Stops the start:* {reason}.", key.doc),
        Support::Replaced(by) => format!("{} *Replaced:* {by}.", key.doc),
    });
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn value_cell(value: Option<&str>) -> String {
    match value {
        None => String::new(),
        Some("") => "(empty)".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn topic_default_cell(key: &Key) -> String {
    let default = value_cell(key.default);
    match key.synonyms {
        [] => default,
        [first, ..] => format!("{default}, `{}`", first.key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = include_str!("../../docs/configuration.md");

    /// `OTTLA_WRITE_DOCS=1 cargo test --lib config::page` writes the page anew.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may write the page it compares")]
    fn the_committed_page_is_up_to_date() {
        if std::env::var_os("OTTLA_WRITE_DOCS").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md"), page()).unwrap();
        } else {
            assert!(page() == COMMITTED, "the table changed: OTTLA_WRITE_DOCS=1 cargo test --lib config::page");
        }
    }
}
