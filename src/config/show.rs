//! The configuration in force as text, for `ottla config`.

use super::broker_config::BrokerConfig;
use super::describe::{is_sensitive, key_of};
use super::key::Key;
use super::keys::{BROKER_AREAS, broker_key};

/// Every key with its value, where it comes from and what it means. The lines are a `server.properties` themselves;
/// secrets are hidden.
pub fn show(config: &BrokerConfig) -> Vec<String> {
    let mut lines = Vec::new();
    for area in BROKER_AREAS {
        lines.push(format!("# ---- {} ----", area.title));
        lines.push(String::new());
        for key in area.keys {
            if !key.internal || config.setting(key.name).is_some() {
                show_key(config, key, &mut lines);
            }
        }
    }
    let unknown: Vec<_> = config.settings.iter().filter(|(name, _)| broker_key(name).is_none()).collect();
    if !unknown.is_empty() {
        lines.extend(["# ---- Other keys ----".to_owned(), String::new()]);
    }
    for (name, setting) in unknown {
        let value = if is_sensitive(key_of(name)) { HIDDEN } else { &setting.value };
        lines.extend([format!("# ({})", setting.origin), property(name, value), String::new()]);
    }
    lines
}

const HIDDEN: &str = "[hidden]";

fn show_key(config: &BrokerConfig, key: &'static Key, lines: &mut Vec<String>) {
    let source = config.setting(key.name).map_or_else(|| "default".to_owned(), |setting| setting.origin.to_string());
    let range = key.valid.to_string();
    let separator = if range.is_empty() { "" } else { " " };
    lines.push(format!("# {}", key.doc));
    lines.push(format!("# ({}{separator}{range}; {source})", key.kind));
    lines.push(match config.value(key.name) {
        None => format!("#{}=", key.name),
        Some(_) if key.is_sensitive() => property(key.name, HIDDEN),
        Some(value) => property(key.name, value),
    });
    lines.push(String::new());
}

/// One line in Java's properties format.
fn property(name: &str, value: &str) -> String {
    let mut line = format!("{name}=");
    for (at, character) in value.char_indices() {
        match character {
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            ' ' if at == 0 => line.push_str("\\ "),
            other => line.push(other),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load, properties};

    fn shown(file: &str) -> String {
        let sources = Sources { file: Some(("f".into(), file.to_owned())), ..Sources::default() };
        show(&load(&sources).unwrap().config).join("\n")
    }

    #[test]
    fn a_value_shows_its_source() {
        let text = shown("\nnum.partitions=3");
        assert!(text.contains("# (INT [1,...]; f:2)\nnum.partitions=3\n"), "{text}");
        assert!(text.contains("# (INT [1,...]; default)\nmax.request.partition.size.limit=2000\n"), "{text}");
        assert!(text.contains("\n#broker.rack=\n"), "{text}");
    }

    #[test]
    fn secrets_stay_hidden() {
        let text = shown("sasl.oauthbearer.client.credentials.client.secret=xyzzy\nodd.key=xyzzy");
        assert!(!text.contains("xyzzy"), "{text}");
        assert!(text.contains("\nodd.key=[hidden]\n"), "{text}");
    }

    #[test]
    fn the_text_can_be_read_again() {
        let odd = "broker.rack=\\ a\\\\b\\tc\\nd \nlog.dirs=/a,/b";
        let once = shown(odd);
        let (read, bad_lines) = properties::parse(&once);
        assert_eq!(bad_lines, []);
        let value = |name: &str| read.iter().find(|property| property.key == name).map(|found| found.value.as_str());
        assert_eq!(value("broker.rack"), Some(" a\\b\tc\nd "));
        assert_eq!(value("log.dirs"), Some("/a,/b"));
    }
}
