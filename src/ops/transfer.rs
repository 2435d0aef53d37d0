//! volume_export and volume_import: the format raw+size, eight bytes of size and then the data.

use super::activate::{activate_volume, deactivate_volume};
use super::alloc::alloc_image;
use super::change::change_of_size;
use super::on;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::sys::stream;
use crate::transport::link;
use crate::volume::{DeviceName, SnapName, Volname};

const FORMAT: &str = "raw+size";

/// The formats that both ends may choose from.
pub fn transfer_formats(base_snapshot: Option<&str>, with_snapshots: bool) -> Vec<String> {
    let possible = transfer_check(FORMAT, base_snapshot, with_snapshots).is_ok();
    possible.then(|| FORMAT.to_owned()).into_iter().collect()
}

pub fn transfer_check(format: &str, base_snapshot: Option<&str>, with_snapshots: bool) -> Result<()> {
    if with_snapshots {
        return Err(
            Error::invalid("snapshots cannot be transferred with their volume")
                .advice("delete the guest's snapshots first"),
        );
    }
    if base_snapshot.is_some_and(|name| !name.is_empty()) {
        return Err(Error::invalid(
            "only whole volumes can be transferred, no increments",
        ));
    }
    if format != FORMAT {
        return Err(Error::invalid(format!("format '{format}' is not possible"))
            .advice(format!("this storage knows {FORMAT}")));
    }
    Ok(())
}

/// Writes the volume, or one of its snapshots, to `fd`.
pub fn volume_export(config: &Config, volname: &str, snapname: Option<&str>, fd: i32) -> Result<()> {
    on(config, "export", volname, || {
        export(config, volname, snapname, fd)
    })
}

fn export(config: &Config, volname: &str, snapname: Option<&str>, fd: i32) -> Result<()> {
    let snapshot = SnapName::parse_given(snapname)?;
    let name = DeviceName::of(&Volname::parse(volname)?.zvol, snapshot.as_ref());
    activate_volume(config, volname, snapname)?;
    let (mut device, bytes) = link::open(&config.storeid, &name)?;
    let mut to = stream::of_perl(fd)?;
    let sent = stream::write_full(&mut to, &bytes.to_le_bytes())
        .and_then(|()| stream::copy(&mut device, &mut to, bytes));
    drop(device);
    let left = match snapshot {
        Some(_) => deactivate_volume(config, volname, snapname),
        None => Ok(()),
    };
    sent.and(left)
}

/// The size of the volume that is about to come from `fd`, in bytes.
pub fn volume_import_size(config: &Config, volname: &str, fd: i32) -> Result<u64> {
    on(config, "import", volname, || import_size(fd))
}

fn import_size(fd: i32) -> Result<u64> {
    let mut header = [0_u8; 8];
    let count = stream::read_full(&mut stream::of_perl(fd)?, &mut header)?;
    let bytes = u64::from_le_bytes(header);
    match (count, bytes) {
        (8, 1..) if i64::try_from(bytes).is_ok() => Ok(bytes),
        (8, _) => Err(Error::invalid(format!("{bytes} bytes are no size for a volume"))),
        _ => Err(
            Error::new(Kind::Host, "the stream ends before it has told the size")
                .advice("see what the sending side says"),
        ),
    }
}

/// The step that needs PVE's lock: a volume of that name and size, or of another name where that is taken and PVE allows it.
pub fn volume_import_alloc(config: &Config, volname: &str, bytes: u64, allow_rename: bool) -> Result<String> {
    let zvol = Volname::parse(volname)?.zvol;
    let vmid = zvol.owner().map(|vmid| vmid.to_string());
    let vmid = vmid.ok_or_else(|| Error::invalid(format!("'{volname}' does not say whose it is")))?;
    let kib = bytes.div_ceil(1024).to_string();
    // A template is the zvol and a snapshot of it; the stream carries the zvol alone.
    let name = Some(zvol.as_str()).filter(|_| !zvol.is_base());
    match (alloc_image(config, &vmid, "raw", name, &kib), name) {
        (Err(taken), Some(_)) if taken.kind == Kind::Exists && allow_rename => {
            alloc_image(config, &vmid, "raw", None, &kib)
        }
        (made, _) => made,
    }
}

/// Fills the new volume from `fd`.
pub fn volume_import_data(config: &Config, volname: &str, bytes: u64, fd: i32) -> Result<()> {
    change_of_size(config, "import", volname, Some(bytes), || {
        fill(config, volname, bytes, fd)
    })
}

fn fill(config: &Config, volname: &str, bytes: u64, fd: i32) -> Result<()> {
    let name = DeviceName::from(&Volname::parse(volname)?.zvol);
    activate_volume(config, volname, None)?;
    let (mut device, room) = link::open_for_writing(&config.storeid, &name)?;
    if room < bytes {
        return Err(Error::new(
            Kind::Host,
            format!("the new volume has {room} bytes, {bytes} were announced"),
        ));
    }
    stream::copy_sparse(&mut stream::of_perl(fd)?, &mut device, bytes)?;
    drop(device);
    deactivate_volume(config, volname, None)
}
