//! Volumes as PVE names them and zvols as the NAS knows them.

pub mod mark;
pub mod size;
pub mod snapname;
pub mod volname;
pub mod zvol;

pub use mark::Mark;
pub use snapname::{DeviceName, SnapName};
pub use volname::Volname;
pub use zvol::ZvolName;
