//! The snapshots of a storage's volumes: what there is, what keeps each, and what becomes of those that nothing keeps.

mod guests;
mod keeps;
mod listing;
pub(super) mod own;
mod policy;
pub(super) mod protect;
mod prune;
mod schedule;

pub use guests::{OfGuest, delete_through_pve, of_guests};
pub use keeps::Keep;
pub use listing::{Found, Rules, Snapshots, snapshots};
pub use own::{Own, set_volume_retention, volume_retention};
pub use policy::{Verdict, Why};
pub use protect::{protect_snapshot, snapshot_is_protected};
pub use prune::{goes, kept_by_guest_alone, prune};
pub use schedule::{cleanup_is_due, schedule_is_understood};
