//! Writes the C++ half of the bridge to `target/<profile>/cxx`, where `Makefile.PL` compiles it into the XS module. That of a
//! build for tests has a folder of its own: cargo does not write it again because the other was built meanwhile.
//! It is not compiled here: C++ objects inside a cdylib would hide their symbols from that module.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const BRIDGE: &str = "src/ffi/mod.rs";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={BRIDGE}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(feature, values(\"fake_node\"))");
    drop(cxx_build::bridge(BRIDGE));

    let out = variable("OUT_DIR")?;
    let generated = out.join("cxxbridge");
    let package = env::var("CARGO_PKG_NAME").map_err(io::Error::other)?;
    let header = variable("DEP_CXXBRIDGE1_HEADER")?;
    let source = header
        .parent()
        .and_then(Path::parent)
        .map(|root| root.join("src/cxx.cc"));
    let target = out
        .ancestors()
        .nth(3)
        .ok_or_else(|| io::Error::other("OUT_DIR is not below target/<profile>"))?;
    // As in cxx's own tree: cxx.cc names its header by a relative path.
    let tree = match env::var_os("CARGO_FEATURE_FAKE_NODE") {
        Some(_) => target.join("cxx-fake-node"),
        None => target.join("cxx"),
    };
    let (include, src) = (tree.join("include"), tree.join("src"));
    fs::create_dir_all(&include)?;
    fs::create_dir_all(&src)?;
    copy(
        &generated
            .join("sources")
            .join(&package)
            .join(BRIDGE)
            .with_extension("rs.cc"),
        &src.join("bridge.cc"),
    )?;
    copy(
        &generated
            .join("include")
            .join(&package)
            .join(BRIDGE)
            .with_extension("rs.h"),
        &include.join("bridge.h"),
    )?;
    copy(&header, &include.join("cxx.h"))?;
    copy(
        &source.ok_or_else(|| io::Error::other("cxx's sources are not beside its header"))?,
        &src.join("cxx.cc"),
    )
}

fn variable(name: &str) -> io::Result<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other(format!("{name} is not set")))
}

/// Leaves an equal file alone, so that `make` has nothing to do.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let content = fs::read(from)?;
    if fs::read(to).is_ok_and(|present| present == content) {
        return Ok(());
    }
    fs::write(to, content)
}
