//! Exports of a zvol that has changed behind them: its name or its size.

use super::disk;
use super::view::View;
use crate::api::iscsi::{self, Extent};
use crate::api::{Api, done_or_found};
use crate::error::{Error, Kind, Result};
use crate::transport::linked::when_linked;
use crate::volume::ZvolName;

/// The extents that lead to `zvol` lead to `renamed` afterwards. Repeating it does no harm.
pub fn follow(view: &View, api: &mut Api, zvol: &ZvolName, renamed: &ZvolName) -> Result<()> {
    let wanted = disk(&view.dataset, renamed);
    for extent in view.extents_of(zvol) {
        let name = view.extent_name(renamed);
        let led = when_linked(api, |api| {
            let request = iscsi::repoint_extent(extent.id, &name, &wanted);
            done_or_found(api, request, |api| found(api, extent.id, &wanted))
        })?;
        if led.disk.as_deref() != Some(wanted.as_str()) {
            return Err(Error::new(
                Kind::Protocol,
                format!(
                    "TrueNAS reported success, but extent '{}' does not lead to '{wanted}'",
                    led.name
                ),
            ));
        }
    }
    Ok(())
}

fn found(api: &mut Api, id: u64, disk: &str) -> Result<Option<Extent>> {
    let extents = api.ask(iscsi::extents_of_disk(disk))?;
    Ok(extents.into_iter().find(|extent| extent.id == id))
}

pub fn reopen(view: &View, api: &mut Api, zvol: &ZvolName) -> Result<()> {
    for extent in view.extents_of(zvol) {
        let request = iscsi::reopen_extent(extent.id, &extent.comment);
        done_or_found(api, request, |_| Ok(Some(extent.clone())))?;
    }
    Ok(())
}
