//! The features that this build knows (KIP-584): what it supports, and where a new cluster begins.
//!
//! A level is *supported* by a build and *finalized* for a cluster: the store's `features` key says what is in force
//! ([`MetadataImage::features`](super::MetadataImage)), whatever the newest build could do. A cluster that is older
//! than a feature gets it by UpdateFeatures only.

use std::collections::BTreeMap;

/// Names the version of the metadata, which every cluster has and which never goes back.
pub const METADATA_VERSION: &str = "metadata.version";

/// One feature and the levels of it that this build understands. Level 0 of a feature that allows it means: not
/// finalized, switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    pub min_level: i16,
    pub max_level: i16,
    /// What is finalized when a cluster begins; 0: nothing.
    pub new_cluster_level: i16,
}

/// By name. The one table that ApiVersions, UpdateFeatures and new clusters follow.
pub const FEATURES: &[Feature] = &[
    // Groups of the consumer protocol (KIP-848).
    Feature { name: "group.version", min_level: 0, max_level: 1, new_cluster_level: 1 },
    // 3.3-IV3 to 4.3-IV0. Nothing here depends on it; clients look at it.
    Feature { name: METADATA_VERSION, min_level: 7, max_level: 30, new_cluster_level: 30 },
    // Share groups (KIP-932).
    Feature { name: "share.version", min_level: 0, max_level: 1, new_cluster_level: 1 },
];

impl Feature {
    /// The feature of that name, if this build knows it.
    pub fn named(name: &str) -> Option<&'static Self> {
        FEATURES.iter().find(|feature| feature.name == name)
    }
}

/// The levels that a new cluster has finalized.
pub fn levels_of_new_cluster() -> BTreeMap<String, i16> {
    let finalized = FEATURES.iter().filter(|feature| feature.new_cluster_level > 0);
    finalized.map(|feature| (feature.name.to_owned(), feature.new_cluster_level)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_hold_real_ranges() {
        assert!(FEATURES.is_sorted_by_key(|feature| feature.name));
        for feature in FEATURES {
            assert!(0 <= feature.min_level && feature.min_level <= feature.max_level, "{}", feature.name);
            assert!(feature.new_cluster_level <= feature.max_level, "{}", feature.name);
            assert!(feature.new_cluster_level >= feature.min_level, "{}", feature.name);
        }
        assert_eq!(levels_of_new_cluster().get(METADATA_VERSION), Some(&30));
    }
}
