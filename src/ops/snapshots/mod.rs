//! The snapshots of a storage's volumes: what there is, what keeps each, and what becomes of those that nothing keeps.

mod keeps;
mod listing;
mod policy;
mod protect;
mod prune;

pub use keeps::Keep;
pub use listing::{Found, snapshots};
pub use policy::{Verdict, Why};
pub use prune::goes;
