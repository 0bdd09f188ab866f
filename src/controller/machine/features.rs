//! Which feature levels may be finalized (KIP-584).

use std::collections::BTreeMap;

use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::ids::BrokerId;
use crate::metadata::features::{Feature, METADATA_VERSION};

/// What a client allows a change of a level to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelChange {
    Upgrade,
    /// Only where nothing is lost.
    SafeDowngrade,
    /// Whatever is lost.
    UnsafeDowngrade,
    /// A code that is not known here.
    Unknown,
}

/// A level to finalize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUpdate {
    pub name: String,
    /// 0: switched off.
    pub level: i16,
    pub change: LevelChange,
}

/// What is finalized after the updates, all of them or none; `controller` is who an error names.
pub(in crate::controller) fn plan_features(
    finalized: &BTreeMap<String, i16>,
    updates: &[FeatureUpdate],
    controller: BrokerId,
) -> Result<BTreeMap<String, i16>, AdminError> {
    let mut planned = finalized.clone();
    for update in updates {
        let current = finalized.get(&update.name).copied().unwrap_or(0);
        if let Err(reason) = check(update, current, controller) {
            let message =
                format!("The update failed for all features since the following feature had an error: {reason}");
            return Err(AdminError::new(ErrorCode::InvalidUpdateVersion, message));
        }
        match update.level {
            0 => planned.remove(&update.name),
            level => planned.insert(update.name.clone(), level),
        };
    }
    Ok(planned)
}

/// Why a level may not follow the `current` one.
fn check(update: &FeatureUpdate, current: i16, controller: BrokerId) -> Result<(), String> {
    let FeatureUpdate { name, level, change } = update;
    let level = *level;
    let refuse = |reason: String| Err(format!("Invalid update version {level} for feature {name}. {reason}"));
    if *change == LevelChange::Unknown {
        return refuse("The controller does not support the given upgrade type.".to_owned());
    }
    if level < 0 {
        return refuse("A feature version cannot be less than 0.".to_owned());
    }
    let feature = Feature::named(name);
    match feature {
        None if level == 0 => return refuse(format!("Feature {name} not found.")),
        None => return refuse(format!("Local controller {controller} does not support this feature.")),
        Some(Feature { min_level, max_level, .. }) if !(*min_level..=*max_level).contains(&level) => {
            return refuse(format!("Local controller {controller} only supports versions {min_level}-{max_level}"));
        }
        Some(_) => {}
    }
    if level < current && *change == LevelChange::Upgrade {
        return refuse(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
             downgrade."
                .to_owned(),
        );
    }
    if level > current && *change != LevelChange::Upgrade {
        return refuse("Can't downgrade to a newer version.".to_owned());
    }
    if name == METADATA_VERSION && level < current {
        let reason = match change {
            LevelChange::UnsafeDowngrade => "Unsafe metadata downgrade is not supported in this version.",
            _ => "Refusing to perform the requested downgrade because it might delete metadata information.",
        };
        return Err(format!("Unsupported metadata.version downgrade from {current} to {level}. {reason}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINALIZED: i16 = 20;

    /// What becomes of `metadata.version` 20.
    #[track_caller]
    fn check(name: &str, level: i16, change: LevelChange, expected: Result<i16, &str>) {
        let finalized = BTreeMap::from([(METADATA_VERSION.to_owned(), FINALIZED)]);
        let update = FeatureUpdate { name: name.to_owned(), level, change };
        let planned = plan_features(&finalized, &[update], BrokerId(3));
        match (planned, expected) {
            (Ok(planned), Ok(level)) => assert_eq!(planned[METADATA_VERSION], level),
            (Err(error), Err(reason)) => {
                assert_eq!(error.code, ErrorCode::InvalidUpdateVersion);
                assert!(error.message.contains(reason), "{}", error.message);
            }
            (planned, expected) => panic!("{planned:?}, not {expected:?}"),
        }
    }

    #[test]
    fn levels_go_up_within_what_is_supported() {
        check(METADATA_VERSION, 30, LevelChange::Upgrade, Ok(30));
        check(METADATA_VERSION, 20, LevelChange::Upgrade, Ok(20));
        check(METADATA_VERSION, 20, LevelChange::SafeDowngrade, Ok(20));
        check(METADATA_VERSION, 31, LevelChange::Upgrade, Err("Local controller 3 only supports versions 7-30"));
        check(METADATA_VERSION, 6, LevelChange::SafeDowngrade, Err("only supports versions 7-30"));
        check(METADATA_VERSION, 21, LevelChange::SafeDowngrade, Err("Can't downgrade to a newer version."));
        check(METADATA_VERSION, 30, LevelChange::Unknown, Err("does not support the given upgrade type"));
        check(METADATA_VERSION, -1, LevelChange::SafeDowngrade, Err("cannot be less than 0"));
    }

    #[test]
    fn the_metadata_version_never_goes_back() {
        check(METADATA_VERSION, 19, LevelChange::Upgrade, Err("without setting the upgrade type"));
        check(METADATA_VERSION, 19, LevelChange::SafeDowngrade, Err("downgrade from 20 to 19. Refusing"));
        check(METADATA_VERSION, 19, LevelChange::UnsafeDowngrade, Err("Unsafe metadata downgrade"));
    }

    #[test]
    fn unknown_features_are_told_from_absent_ones() {
        check("none", 1, LevelChange::Upgrade, Err("Local controller 3 does not support this feature."));
        check("none", 0, LevelChange::SafeDowngrade, Err("Feature none not found."));
    }

    #[test]
    fn one_refusal_refuses_all() {
        let finalized = BTreeMap::from([(METADATA_VERSION.to_owned(), FINALIZED)]);
        let update = |name: &str, level| FeatureUpdate { name: name.to_owned(), level, change: LevelChange::Upgrade };
        plan_features(&finalized, &[update(METADATA_VERSION, 30), update("none", 1)], BrokerId(1)).unwrap_err();
        assert_eq!(plan_features(&finalized, &[], BrokerId(1)).unwrap(), finalized);
    }
}
