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
        Some(value) if may_not_be_given(config, key) => format!("#{}", property(key.name, value)),
        Some(_) if key.is_sensitive() => property(key.name, HIDDEN),
        Some(value) => property(key.name, value),
    });
    lines.push(String::new());
}

/// A default that is no longer one once somebody writes it down: of these two keys only one may be set.
fn may_not_be_given(config: &BrokerConfig, key: &'static Key) -> bool {
    let is_given = |name| config.setting(name).is_some();
    key.name == "security.inter.broker.protocol" && !is_given(key.name) && is_given("inter.broker.listener.name")
}

/// One line in Java's properties format.
fn property(name: &str, value: &str) -> String {
    let mut line = String::with_capacity(name.len() + value.len() + 1);
    for (at, character) in name.char_indices() {
        match character {
            '=' | ':' | ' ' => line.extend(['\\', character]),
            '#' | '!' if at == 0 => line.extend(['\\', character]),
            other => push_escaped(&mut line, other),
        }
    }
    line.push('=');
    for (at, character) in value.char_indices() {
        match character {
            ' ' if at == 0 => line.push_str("\\ "),
            other => push_escaped(&mut line, other),
        }
    }
    line
}

/// What neither a name nor a value may hold as it is.
fn push_escaped(line: &mut String, character: char) {
    match character {
        '\\' => line.push_str("\\\\"),
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        '\x0c' => line.push_str("\\f"),
        other => line.push(other),
    }
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

    #[test]
    fn odd_names_can_be_read_again() {
        for name in ["a b", "a=b", "a:b", "#a", "!a", "a\\b", "a\tb", "a\nb", "a\x0cb", ""] {
            for value in ["1", "\x0c1", "=1", ":1", "1 "] {
                let expected = properties::Property { key: name.to_owned(), value: value.to_owned(), line: 1 };
                assert_eq!(properties::parse(&property(name, value)), (vec![expected], vec![]));
            }
        }
    }

    #[test]
    fn what_is_shown_is_a_configuration() {
        for file in ["", "listeners=A://:1\nlistener.security.protocol.map=A:PLAINTEXT\ninter.broker.listener.name=A"]
        {
            let again = Sources { file: Some(("f".into(), shown(file))), ..Sources::default() };
            load(&again).unwrap();
        }
    }
}
