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

use crate::config::properties;
use crate::ids::{BrokerId, DirectoryId};
use crate::io::Disk;

use super::checkpoint_text::{self, FileError, TextError, shortened};

/// The file's name, in the log directory.
pub const META_PROPERTIES_FILE: &str = "meta.properties";

pub(crate) const MAX_FILE_BYTES: u64 = 64 << 10;

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

/// Keys and values, with the number of the line each begins on. Of several lines of one key the last counts.
fn parse_properties(content: &str) -> Result<BTreeMap<String, (usize, String)>, TextError> {
    let (properties, bad_lines) = properties::parse(content);
    match bad_lines.first() {
        Some(bad) => Err(TextError::new(bad.line, bad.reason)),
        None => Ok(properties.into_iter().map(|found| (found.key, (found.line, found.value))).collect()),
    }
}

/// What Java would read otherwise than it stands here.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '=' | ':' | '#' | '!' | ' ' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\x0c' => escaped.push_str("\\f"),
            other => escaped.push(other),
        }
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
        for cluster_id in ["MkU3OEVBNTcwNTJENDM2Qg", "my=clus:ter\\ #1", "\n\t\r\x0c\u{85}x"] {
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
        check_refused("\na=\\u12", "line 2: a \\uXXXX escape needs four hexadecimal digits");
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
