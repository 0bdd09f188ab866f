//! `meta.properties`: to which cluster and to which node a log directory belongs, and its own identity (KIP-858).
//!
//! ```text
//!   version=1
//!   cluster.id=MkU3OEVBNTcwNTJENDM2Qg
//!   node.id=1
//!   directory.id=cJxEX1nhTAyKBCrSuMaHEw
//! ```
//! Version 0, of brokers that were run with ZooKeeper, has `broker.id` instead of `node.id`, and no directory id.

use std::collections::BTreeMap;
use std::path::Path;

use crate::ids::{BrokerId, DirectoryId};
use crate::io::Disk;

use super::checkpoint_text::{self, FileError, TextError, shortened};

/// The file's name, in the log directory.
pub const META_PROPERTIES_FILE: &str = "meta.properties";

const MAX_FILE_BYTES: u64 = 64 << 10;

/// What the file says. A version 1 file has cluster and node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaProperties {
    /// 0 or 1.
    pub version: u32,
    pub cluster_id: Option<String>,
    pub node_id: Option<BrokerId>,
    pub directory_id: Option<DirectoryId>,
}

impl MetaProperties {
    /// The content of the file, always of version 1.
    pub fn encode(cluster_id: &str, node_id: BrokerId, directory_id: DirectoryId) -> String {
        let cluster_id = escape(cluster_id);
        format!("#\nversion=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={directory_id}\n")
    }

    /// Reads what [`Self::encode`], `kafka-storage` and older brokers write: Java's properties.
    pub fn decode(content: &str) -> Result<Self, TextError> {
        let properties = parse_properties(content)?;
        let get = |key: &str| properties.get(key).map(|(line, value)| (*line, value.as_str()));
        let number = |key: &str| {
            let number = |(line, value): (usize, &str)| {
                let refused = || TextError::new(line, format!("{key} '{}' is not a number", shortened(value)));
                value.trim().parse::<i32>().ok().filter(|number| *number >= 0).ok_or_else(refused)
            };
            get(key).map(number).transpose()
        };
        let version = match get("version") {
            None | Some((_, "0")) => 0,
            Some((_, "1")) => 1,
            Some((line, other)) => {
                return Err(TextError::new(line, format!("version '{}' is not known", shortened(other))));
            }
        };
        let node_id = number(if version == 0 { "broker.id" } else { "node.id" })?.map(BrokerId);
        let cluster_id = get("cluster.id").map(|(_, value)| value.to_owned());
        let directory_id = match get("directory.id") {
            None => None,
            Some((line, value)) => {
                let refused = |_| TextError::new(line, format!("directory.id '{}' is not a UUID", shortened(value)));
                let id = value.parse::<DirectoryId>().map_err(refused)?;
                // The first hundred UUIDs mean "lost", "unassigned" and the like.
                if id.0.as_u128() < 100 {
                    return Err(TextError::new(line, format!("directory.id '{value}' is reserved")));
                }
                Some(id)
            }
        };
        if version == 1 {
            let missing = |key: &str| TextError::new(content.lines().count(), format!("{key} is missing"));
            node_id.ok_or_else(|| missing("node.id"))?;
            cluster_id.as_ref().ok_or_else(|| missing("cluster.id"))?;
        }
        Ok(Self { version, cluster_id, node_id, directory_id })
    }

    /// The file of a log directory; `None` where it is absent.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<Self>, FileError> {
        let path = directory.join(META_PROPERTIES_FILE);
        let content = checkpoint_text::read_text(disk, &path, MAX_FILE_BYTES).map_err(FileError::io(&path))?;
        content.map(|content| Self::decode(&content).map_err(FileError::text(&path))).transpose()
    }
}

/// Keys and values of Java's properties format, with the number of the line each begins on.
fn parse_properties(content: &str) -> Result<BTreeMap<String, (usize, String)>, TextError> {
    let mut properties = BTreeMap::new();
    let mut lines = content.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            line.pop();
            line.push_str(lines.next().map_or("", |(_, next)| next.trim_start()));
        }
        let (key, value) = split_property(&line);
        properties.insert(unescape(key, at + 1)?, (at + 1, unescape(value, at + 1)?));
    }
    Ok(properties)
}

/// At the first `=`, `:` or blank that is not escaped.
fn split_property(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, character) in line.char_indices() {
        if !escaped && (character == '=' || character == ':' || character.is_whitespace()) {
            let rest = line[at..].trim_start();
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (&line[..at], rest.trim_start());
        }
        escaped = character == '\\' && !escaped;
    }
    (line, "")
}

fn unescape(text: &str, line: usize) -> Result<String, TextError> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\x0c'),
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let known =
                    u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4).and_then(char::from_u32);
                plain.push(known.ok_or_else(|| TextError::new(line, format!("'\\u{digits}' is no character")))?);
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Ok(plain)
}

/// What Java would read otherwise than it stands here.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | '=' | ':' | '#' | '!' | ' ') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As `kafka-storage format` of Apache Kafka 4.3 leaves it.
    const KAFKAS: &str = "#\n#Sun Nov 22 07:31:12 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n\
        directory.id=JFuNnNNVGxDQ4X9hqyO0pA\nnode.id=1\nversion=1\n";

    #[test]
    fn kafkas_file_is_read() {
        let expected = MetaProperties {
            version: 1,
            cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg".to_owned()),
            node_id: Some(BrokerId(1)),
            directory_id: Some("JFuNnNNVGxDQ4X9hqyO0pA".parse().unwrap()),
        };
        assert_eq!(MetaProperties::decode(KAFKAS), Ok(expected));
    }

    #[test]
    fn zookeepers_file_is_read() {
        let zookeepers = MetaProperties::decode("broker.id=7\nversion=0\ncluster.id=x\n").unwrap();
        assert_eq!((zookeepers.version, zookeepers.node_id), (0, Some(BrokerId(7))));
        assert_eq!(MetaProperties::decode(""), Ok(MetaProperties::default()));
    }

    #[test]
    fn what_is_written_is_read() {
        let directory_id: DirectoryId = "JFuNnNNVGxDQ4X9hqyO0pA".parse().unwrap();
        for cluster_id in ["MkU3OEVBNTcwNTJENDM2Qg", "my=clus:ter\\ #1"] {
            let read =
                MetaProperties::decode(&MetaProperties::encode(cluster_id, BrokerId(3), directory_id)).unwrap();
            assert_eq!((read.cluster_id.as_deref(), read.node_id), (Some(cluster_id), Some(BrokerId(3))));
            assert_eq!(read.directory_id, Some(directory_id));
        }
    }

    fn check_refused(content: &str, error: &str) {
        assert_eq!(MetaProperties::decode(content).unwrap_err().to_string(), error);
    }

    #[test]
    fn bad_values_are_named() {
        check_refused("version=2", "line 1: version '2' is not known");
        check_refused("#\nversion=1\nnode.id=x", "line 3: node.id 'x' is not a number");
        check_refused("version=1\nnode.id=1", "line 2: cluster.id is missing");
        check_refused("version=1\ncluster.id=x", "line 2: node.id is missing");
        check_refused("directory.id=x", "line 1: directory.id 'x' is not a UUID");
        check_refused(
            "directory.id=AAAAAAAAAAAAAAAAAAAAAQ",
            "line 1: directory.id 'AAAAAAAAAAAAAAAAAAAAAQ' is reserved",
        );
        check_refused("a=\\u12", "line 1: '\\u12' is no character");
    }

    #[test]
    fn properties_are_javas() {
        let text = "! comment\n  a : 1\nb\tx y\nlong=one \\\n   two\nempty\nesc\\=aped=\\u0041\\tz\n";
        let properties = parse_properties(text).unwrap();
        let get = |key| properties.get(key).map(|(line, value)| (*line, value.as_str()));
        assert_eq!(get("a"), Some((2, "1")));
        assert_eq!(get("b"), Some((3, "x y")));
        assert_eq!(get("long"), Some((4, "one two")));
        assert_eq!(get("empty"), Some((6, "")));
        assert_eq!(get("esc=aped"), Some((7, "A\tz")));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(content in "((version|node.id|cluster.id|directory.id|a)[=: ]\\PC{0,9}\n){0,5}|\\PC{0,40}") {
            let _ = MetaProperties::decode(&content);
        }

        #[test]
        fn any_cluster_id_comes_back(cluster_id in "[!-~]{1,22}") {
            let encoded = MetaProperties::encode(&cluster_id, BrokerId(0), DirectoryId(crate::ids::random_uuid()));
            prop_assert_eq!(MetaProperties::decode(&encoded).unwrap().cluster_id, Some(cluster_id));
        }
    }
}
