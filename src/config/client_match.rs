//! Which clients a subscription to metrics is for (KIP-714).

use std::fmt;

use regex::Regex;

use super::value::split_list;

/// How often clients may be asked for their metrics.
pub const MIN_INTERVAL_MS: i32 = 100;
/// How rarely.
pub const MAX_INTERVAL_MS: i32 = 3_600_000;

/// A fact about a client that a subscription can select by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFact {
    InstanceId,
    Id,
    SoftwareName,
    SoftwareVersion,
    SourceAddress,
    SourcePort,
}

impl ClientFact {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "client_instance_id" => Self::InstanceId,
            "client_id" => Self::Id,
            "client_software_name" => Self::SoftwareName,
            "client_software_version" => Self::SoftwareVersion,
            "client_source_address" => Self::SourceAddress,
            "client_source_port" => Self::SourcePort,
            _ => return None,
        })
    }
}

/// A part of `match` that is not `selector=regular expression`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Illegal client matching pattern: {0}")]
pub struct IllegalPattern(pub String);

/// `match` of a subscription; without any pattern every client matches.
#[derive(Clone, Debug, Default)]
pub struct ClientMatch {
    patterns: Vec<(ClientFact, Pattern)>,
}

/// A regular expression that is found only in the whole of a text.
#[derive(Clone)]
struct Pattern(Regex);

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What the compiled form of one expression may take: the text comes from whoever may configure the cluster.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

impl ClientMatch {
    /// Reads the list of patterns; of several for one selector the last counts, as in Kafka.
    pub fn parse(text: &str) -> Result<Self, IllegalPattern> {
        let mut patterns: Vec<(ClientFact, Pattern)> = Vec::new();
        for element in split_list(text) {
            let (fact, pattern) = parse_pattern(element).ok_or_else(|| IllegalPattern(element.to_owned()))?;
            patterns.retain(|(other, _)| *other != fact);
            patterns.push((fact, pattern));
        }
        Ok(Self { patterns })
    }

    /// Whether a client of which `fact` tells the facts is meant.
    pub fn matches<'a>(&self, fact: impl Fn(ClientFact) -> &'a str) -> bool {
        self.patterns.iter().all(|(name, pattern)| pattern.0.is_match(fact(*name)))
    }
}

fn parse_pattern(element: &str) -> Option<(ClientFact, Pattern)> {
    let (name, pattern) = element.split_once('=')?;
    let pattern = pattern.trim();
    if pattern.is_empty() || pattern.contains('=') {
        return None;
    }
    let fact = ClientFact::from_name(name.trim())?;
    // Alone first: otherwise a pattern could close the group around it.
    compile(pattern)?;
    Some((fact, Pattern(compile(&format!("^(?:{pattern})$"))?)))
}

fn compile(pattern: &str) -> Option<Regex> {
    regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &str, matches: bool) {
        let parsed = ClientMatch::parse(patterns).unwrap_or_else(|error| panic!("{patterns}: {error}"));
        let facts = |fact| match fact {
            ClientFact::InstanceId => "aaaa",
            ClientFact::Id => "orders-1",
            ClientFact::SoftwareName => "librdkafka",
            ClientFact::SoftwareVersion => "2.10.0",
            ClientFact::SourceAddress => "127.0.0.1",
            ClientFact::SourcePort => "5555",
        };
        assert_eq!(parsed.matches(facts), matches, "{patterns}");
    }

    #[test]
    fn every_pattern_has_to_match_all_of_its_fact() {
        check("", true);
        check("client_id=orders-.*", true);
        check("client_id=orders", false);
        check("client_id=orders-1|x", true);
        check(" client_software_name = librdkafka , client_software_version = 2\\..* ", true);
        check("client_software_name=librdkafka,client_source_port=1", false);
        check("client_id=no,client_id=orders-[0-9]", true);
        check("client_source_address=127.*,client_instance_id=a{4}", true);
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for bad in ["x", "client_id=[", "nope=a", "client_id=a=b", "client_id=", "client_id", "client_id=a)(b"] {
            assert_eq!(ClientMatch::parse(bad).map(drop), Err(IllegalPattern(bad.to_owned())));
        }
        let huge = format!("client_id={}", "(a{1000}){1000}");
        assert!(ClientMatch::parse(&huge).is_err());
    }
}
