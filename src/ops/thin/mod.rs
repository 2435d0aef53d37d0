//! Thin volumes promise more than there may be: how much, and when it begins to matter.

mod pool;
mod promise;

pub use self::pool::{Pool, Share, thin};
pub(super) use self::promise::{remember, warn_of};

use crate::config::Thresholds;

/// Used and free bytes, and by how much the volumes may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    pub used: u64,
    pub available: u64,
    pub may_grow: u64,
}

/// How near that is to a guest that cannot write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Danger {
    #[default]
    None,
    Warning,
    Critical,
}

impl Room {
    /// Volumes may write more than there is room for.
    pub fn is_overcommitted(self) -> bool {
        self.may_grow > self.available
    }

    pub fn percent_used(self) -> u64 {
        let size = u128::from(self.used) + u128::from(self.available);
        let percent = (u128::from(self.used) * 100).checked_div(size);
        percent
            .and_then(|percent| u64::try_from(percent).ok())
            .unwrap_or(0)
    }

    /// What nobody has promised may fill up: that is told by the share that is used alone.
    pub fn danger(self, thresholds: Thresholds) -> Danger {
        match self.percent_used() {
            _ if !self.is_overcommitted() => Danger::None,
            used if used >= u64::from(thresholds.critical) => Danger::Critical,
            used if used >= u64::from(thresholds.warning) => Danger::Warning,
            _ => Danger::None,
        }
    }
}

/// Of one zvol. A thick one has its space already; what snapshots hold cannot be told from what the volume does, so that one
/// that was overwritten may grow by more.
pub(super) fn may_grow(volsize: u64, used: u64) -> u64 {
    volsize.saturating_sub(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn danger_needs_a_promise_that_cannot_be_kept_and_space_that_is_used() {
        let thresholds = Thresholds {
            warning: 70,
            critical: 85,
        };
        let danger = |used, available, may_grow| {
            Room {
                used,
                available,
                may_grow,
            }
            .danger(thresholds)
        };
        assert_eq!(danger(69, 31, 1000), Danger::None);
        assert_eq!(danger(70, 30, 31), Danger::Warning);
        assert_eq!(danger(70, 30, 30), Danger::None);
        assert_eq!(danger(84, 16, 17), Danger::Warning);
        assert_eq!(danger(85, 15, 16), Danger::Critical);
        assert_eq!(danger(100, 0, 1), Danger::Critical);
        assert_eq!(danger(0, 0, 0), Danger::None);
        assert_eq!(danger(u64::MAX, u64::MAX, u64::MAX), Danger::None);
    }
}
