//! What Perl calls: one function per plugin method, typed by cxx, each body under [`guard`].
//!
//! A new method is a declaration in [`bridge`], a body below it, and a line in `xs/native.cc`.
//! Numbers from Perl arrive as text, and what is absent is marked: cxx has no `Option`.

mod convert;
mod guard;
mod hooks;
#[cfg(feature = "fake-node")]
mod selftest;

use bridge::{
    Image, Maybe, Neighbour, OwnedMaybe, Pair, ParsedVolname, Possible, SizeInfo, SnapshotInfo, Texts, Usage,
    VolumePath,
};
use convert::{neighbours, number, raw, texts};
use guard::guard;

use crate::config::Config;
use crate::error::Result;
use crate::{logging, ops};

#[cxx::bridge(namespace = "truenas")]
mod bridge {
    /// One key of a storage.cfg section.
    #[derive(Clone, Copy)]
    struct Pair<'a> {
        key: &'a str,
        value: &'a str,
    }

    #[derive(Clone, Copy)]
    struct Text<'a> {
        text: &'a str,
    }

    #[derive(Clone, Copy)]
    struct Maybe<'a> {
        present: bool,
        text: &'a str,
    }

    #[derive(Clone, Copy)]
    struct Texts<'a> {
        present: bool,
        texts: &'a [Text<'a>],
    }

    /// Another storage of our type in the same storage.cfg.
    #[derive(Clone, Copy)]
    struct Neighbour<'a> {
        storeid: &'a str,
        host: &'a str,
        dataset: &'a str,
    }

    struct OwnedMaybe {
        present: bool,
        text: String,
    }

    struct Usage {
        total: u64,
        available: u64,
        used: u64,
    }

    struct ParsedVolname {
        name: String,
        has_vmid: bool,
        vmid: u32,
        basename: OwnedMaybe,
        has_basevmid: bool,
        basevmid: u32,
        is_base: bool,
    }

    struct VolumePath {
        path: String,
        has_vmid: bool,
        vmid: u32,
    }

    struct SizeInfo {
        size: u64,
        used: u64,
        parent: String,
    }

    struct SnapshotInfo {
        name: String,
        id: String,
        timestamp: u64,
        size: u64,
        parent: String,
    }

    struct Possible {
        blockers: Vec<String>,
        refusal: String,
    }

    struct Image {
        volid: String,
        size: u64,
        used: u64,
        vmid: u32,
        ctime: u64,
        parent: String,
    }

    extern "Rust" {
        fn status(storeid: &str, scfg: &[Pair]) -> Result<Usage>;
        fn check_connection(storeid: &str, scfg: &[Pair]) -> Result<bool>;
        fn activate_storage(storeid: &str, scfg: &[Pair]) -> Result<()>;
        fn deactivate_storage(storeid: &str, scfg: &[Pair]) -> Result<()>;
        fn get_identity(storeid: &str, scfg: &[Pair]) -> Result<String>;
        fn activate_volume(storeid: &str, scfg: &[Pair], volname: &str, snapname: Maybe) -> Result<()>;
        fn deactivate_volume(storeid: &str, scfg: &[Pair], volname: &str, snapname: Maybe) -> Result<()>;

        fn parse_volname(volname: &str) -> Result<ParsedVolname>;
        fn path(storeid: &str, volname: &str, snapname: Maybe) -> Result<VolumePath>;
        fn volume_has_feature(feature: &str, volname: &str, snapname: Maybe) -> Result<bool>;

        fn alloc_image(
            storeid: &str,
            scfg: &[Pair],
            vmid: &str,
            fmt: &str,
            name: Maybe,
            size_kib: &str,
        ) -> Result<String>;
        fn free_image(
            storeid: &str,
            scfg: &[Pair],
            volname: &str,
            is_base: bool,
            format: Maybe,
        ) -> Result<OwnedMaybe>;
        fn free_image_finish(storeid: &str, scfg: &[Pair], token: &str) -> Result<()>;
        fn list_images(storeid: &str, scfg: &[Pair], vmid: Maybe, vollist: Texts) -> Result<Vec<Image>>;
        fn volume_size_info(storeid: &str, scfg: &[Pair], volname: &str, timeout: Maybe) -> Result<SizeInfo>;
        fn volume_resize(
            storeid: &str,
            scfg: &[Pair],
            volname: &str,
            size: &str,
            running: bool,
            snapname: Maybe,
        ) -> Result<u64>;

        fn clone_image(
            storeid: &str,
            scfg: &[Pair],
            volname: &str,
            vmid: &str,
            snapname: Maybe,
        ) -> Result<String>;
        fn create_base(storeid: &str, scfg: &[Pair], volname: &str) -> Result<String>;
        fn rename_volume(
            storeid: &str,
            scfg: &[Pair],
            volname: &str,
            target_vmid: &str,
            target_volname: Maybe,
        ) -> Result<String>;
        fn volume_snapshot(storeid: &str, scfg: &[Pair], volname: &str, snapname: &str) -> Result<()>;
        fn volume_snapshot_delete(storeid: &str, scfg: &[Pair], volname: &str, snapname: &str) -> Result<()>;
        fn volume_snapshot_rollback(
            storeid: &str,
            scfg: &[Pair],
            volname: &str,
            snapname: &str,
        ) -> Result<()>;
        fn volume_rollback_is_possible(
            storeid: &str,
            scfg: &[Pair],
            volname: &str,
            snapname: &str,
        ) -> Result<Possible>;
        fn volume_snapshot_info(storeid: &str, scfg: &[Pair], volname: &str) -> Result<Vec<SnapshotInfo>>;
        fn rename_snapshot(storeid: &str, scfg: &[Pair], volname: &str, from: &str, to: &str) -> Result<()>;
        fn get_volume_attribute(
            storeid: &str,
            scfg: &[Pair],
            volname: &str,
            attribute: &str,
        ) -> Result<OwnedMaybe>;
        fn update_volume_attribute(
            storeid: &str,
            scfg: &[Pair],
            volname: &str,
            attribute: &str,
            value: Maybe,
        ) -> Result<()>;

        fn transfer_formats(base_snapshot: Maybe, with_snapshots: bool) -> Result<Vec<String>>;
        fn transfer_check(format: &str, base_snapshot: Maybe, with_snapshots: bool) -> Result<()>;
        fn volume_export(
            storeid: &str,
            scfg: &[Pair],
            fd: &str,
            volname: &str,
            snapname: Maybe,
        ) -> Result<()>;
        fn volume_import_size(storeid: &str, scfg: &[Pair], fd: &str, volname: &str) -> Result<u64>;
        fn volume_import_alloc(
            storeid: &str,
            scfg: &[Pair],
            volname: &str,
            bytes: &str,
            allow_rename: bool,
        ) -> Result<String>;
        fn volume_import_data(
            storeid: &str,
            scfg: &[Pair],
            fd: &str,
            volname: &str,
            bytes: &str,
        ) -> Result<()>;

        fn on_add(
            storeid: &str,
            scfg: &[Pair],
            secrets: &[Pair],
            neighbours: &[Neighbour],
        ) -> Result<Vec<String>>;
        fn on_update(
            storeid: &str,
            scfg: &[Pair],
            changed: &[Pair],
            deleted: Texts,
            secrets: &[Pair],
            deleted_secrets: Texts,
        ) -> Result<Vec<String>>;
        fn on_delete(storeid: &str, scfg: &[Pair]) -> Result<()>;

        /// Not a method: the XS module asks after every call.
        fn drain_warnings() -> Result<Vec<String>>;

        // cxx-build knows the feature only with an underscore.
        #[cfg(any(feature = "fake-node", feature = "fake_node"))]
        fn selftest(what: &str, argument: &str) -> Result<String>;
    }
}

fn status(storeid: &str, scfg: &[Pair]) -> Result<Usage> {
    on(storeid, scfg, |config| ops::status(config).map(Usage::from))
}

fn check_connection(storeid: &str, scfg: &[Pair]) -> Result<bool> {
    on(storeid, scfg, ops::check_connection)
}

fn activate_storage(storeid: &str, scfg: &[Pair]) -> Result<()> {
    on(storeid, scfg, ops::activate_storage)
}

fn deactivate_storage(storeid: &str, scfg: &[Pair]) -> Result<()> {
    on(storeid, scfg, ops::deactivate_storage)
}

fn get_identity(storeid: &str, scfg: &[Pair]) -> Result<String> {
    on(storeid, scfg, ops::get_identity)
}

fn activate_volume(storeid: &str, scfg: &[Pair], volname: &str, snapname: Maybe) -> Result<()> {
    on(storeid, scfg, |config| {
        ops::activate_volume(config, volname, snapname.into())
    })
}

fn deactivate_volume(storeid: &str, scfg: &[Pair], volname: &str, snapname: Maybe) -> Result<()> {
    on(storeid, scfg, |config| {
        ops::deactivate_volume(config, volname, snapname.into())
    })
}

fn parse_volname(volname: &str) -> Result<ParsedVolname> {
    guard(|| ops::parse_volname(volname).map(ParsedVolname::from))
}

fn path(storeid: &str, volname: &str, snapname: Maybe) -> Result<VolumePath> {
    guard(|| ops::path(storeid, volname, snapname.into()).map(VolumePath::from))
}

fn volume_has_feature(feature: &str, volname: &str, snapname: Maybe) -> Result<bool> {
    guard(|| ops::volume_has_feature(feature, volname, snapname.into()))
}

fn alloc_image(
    storeid: &str,
    scfg: &[Pair],
    vmid: &str,
    fmt: &str,
    name: Maybe,
    size_kib: &str,
) -> Result<String> {
    on(storeid, scfg, |config| {
        ops::alloc_image(config, vmid, fmt, name.into(), size_kib)
    })
}

fn free_image(
    storeid: &str,
    scfg: &[Pair],
    volname: &str,
    is_base: bool,
    format: Maybe,
) -> Result<OwnedMaybe> {
    on(storeid, scfg, |config| {
        ops::free_image(config, volname, is_base, format.into()).map(OwnedMaybe::from)
    })
}

fn free_image_finish(storeid: &str, scfg: &[Pair], token: &str) -> Result<()> {
    on(storeid, scfg, |config| ops::free_image_finish(config, token))
}

fn list_images(storeid: &str, scfg: &[Pair], vmid: Maybe, vollist: Texts) -> Result<Vec<Image>> {
    on(storeid, scfg, |config| {
        let wanted = vollist.present.then(|| texts(vollist.texts));
        let found = ops::list_images(config, vmid.into(), wanted.as_deref())?;
        Ok(found.into_iter().map(Image::from).collect())
    })
}

fn volume_size_info(storeid: &str, scfg: &[Pair], volname: &str, timeout: Maybe) -> Result<SizeInfo> {
    on(storeid, scfg, |config| {
        ops::volume_size_info(config, volname, timeout.into()).map(SizeInfo::from)
    })
}

fn volume_resize(
    storeid: &str,
    scfg: &[Pair],
    volname: &str,
    size: &str,
    running: bool,
    snapname: Maybe,
) -> Result<u64> {
    on(storeid, scfg, |config| {
        ops::volume_resize(config, volname, size, running, snapname.into())
    })
}

fn clone_image(storeid: &str, scfg: &[Pair], volname: &str, vmid: &str, snapname: Maybe) -> Result<String> {
    on(storeid, scfg, |config| {
        ops::clone_image(config, volname, vmid, snapname.into())
    })
}

fn create_base(storeid: &str, scfg: &[Pair], volname: &str) -> Result<String> {
    on(storeid, scfg, |config| ops::create_base(config, volname))
}

fn rename_volume(
    storeid: &str,
    scfg: &[Pair],
    volname: &str,
    target_vmid: &str,
    target_volname: Maybe,
) -> Result<String> {
    on(storeid, scfg, |config| {
        ops::rename_volume(config, volname, target_vmid, target_volname.into())
    })
}

fn volume_snapshot(storeid: &str, scfg: &[Pair], volname: &str, snapname: &str) -> Result<()> {
    on(storeid, scfg, |config| {
        ops::volume_snapshot(config, volname, snapname)
    })
}

fn volume_snapshot_delete(storeid: &str, scfg: &[Pair], volname: &str, snapname: &str) -> Result<()> {
    on(storeid, scfg, |config| {
        ops::volume_snapshot_delete(config, volname, snapname)
    })
}

fn volume_snapshot_rollback(storeid: &str, scfg: &[Pair], volname: &str, snapname: &str) -> Result<()> {
    on(storeid, scfg, |config| {
        ops::volume_snapshot_rollback(config, volname, snapname)
    })
}

fn volume_rollback_is_possible(
    storeid: &str,
    scfg: &[Pair],
    volname: &str,
    snapname: &str,
) -> Result<Possible> {
    on(storeid, scfg, |config| {
        ops::volume_rollback_is_possible(config, volname, snapname).map(Possible::from)
    })
}

fn volume_snapshot_info(storeid: &str, scfg: &[Pair], volname: &str) -> Result<Vec<SnapshotInfo>> {
    on(storeid, scfg, |config| {
        let rows = ops::volume_snapshot_info(config, volname)?;
        Ok(rows.into_iter().map(SnapshotInfo::from).collect())
    })
}

fn rename_snapshot(storeid: &str, scfg: &[Pair], volname: &str, from: &str, to: &str) -> Result<()> {
    on(storeid, scfg, |config| {
        ops::rename_snapshot(config, volname, from, to)
    })
}

fn get_volume_attribute(storeid: &str, scfg: &[Pair], volname: &str, attribute: &str) -> Result<OwnedMaybe> {
    on(storeid, scfg, |config| {
        ops::get_volume_attribute(config, volname, attribute).map(OwnedMaybe::from)
    })
}

fn update_volume_attribute(
    storeid: &str,
    scfg: &[Pair],
    volname: &str,
    attribute: &str,
    value: Maybe,
) -> Result<()> {
    on(storeid, scfg, |config| {
        let value = Option::from(value).unwrap_or_default();
        ops::update_volume_attribute(config, volname, attribute, value)
    })
}

fn transfer_formats(base_snapshot: Maybe, with_snapshots: bool) -> Result<Vec<String>> {
    guard(|| Ok(ops::transfer_formats(base_snapshot.into(), with_snapshots)))
}

fn transfer_check(format: &str, base_snapshot: Maybe, with_snapshots: bool) -> Result<()> {
    guard(|| ops::transfer_check(format, base_snapshot.into(), with_snapshots))
}

fn volume_export(storeid: &str, scfg: &[Pair], fd: &str, volname: &str, snapname: Maybe) -> Result<()> {
    on(storeid, scfg, |config| {
        ops::volume_export(config, volname, snapname.into(), number(fd)?)
    })
}

fn volume_import_size(storeid: &str, scfg: &[Pair], fd: &str, volname: &str) -> Result<u64> {
    on(storeid, scfg, |config| {
        ops::volume_import_size(config, volname, number(fd)?)
    })
}

fn volume_import_alloc(
    storeid: &str,
    scfg: &[Pair],
    volname: &str,
    bytes: &str,
    allow_rename: bool,
) -> Result<String> {
    on(storeid, scfg, |config| {
        ops::volume_import_alloc(config, volname, number(bytes)?, allow_rename)
    })
}

fn volume_import_data(storeid: &str, scfg: &[Pair], fd: &str, volname: &str, bytes: &str) -> Result<()> {
    on(storeid, scfg, |config| {
        ops::volume_import_data(config, volname, number(bytes)?, number(fd)?)
    })
}

fn on_add(storeid: &str, scfg: &[Pair], secrets: &[Pair], others: &[Neighbour]) -> Result<Vec<String>> {
    guard(|| ops::on_add(storeid, &raw(scfg), &raw(secrets), &neighbours(others)))
}

fn on_update(
    storeid: &str,
    scfg: &[Pair],
    changed: &[Pair],
    deleted: Texts,
    secrets: &[Pair],
    deleted_secrets: Texts,
) -> Result<Vec<String>> {
    guard(|| {
        let (deleted, forgotten) = (texts(deleted.texts), texts(deleted_secrets.texts));
        ops::on_update(
            storeid,
            &raw(scfg),
            &raw(changed),
            &deleted,
            &raw(secrets),
            &forgotten,
        )
    })
}

fn on_delete(storeid: &str, scfg: &[Pair]) -> Result<()> {
    guard(|| ops::on_delete(storeid, &raw(scfg)))
}

fn drain_warnings() -> Result<Vec<String>> {
    guard(|| Ok(logging::drain_warnings()))
}

/// Runs `body` with the parsed section.
fn on<T>(storeid: &str, scfg: &[Pair], body: impl FnOnce(&Config) -> Result<T>) -> Result<T> {
    guard(|| body(&Config::parse(storeid, &raw(scfg))?))
}

#[cfg(feature = "fake-node")]
fn selftest(what: &str, argument: &str) -> Result<String> {
    guard(|| selftest::run(what, argument))
}
