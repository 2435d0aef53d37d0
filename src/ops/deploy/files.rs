//! The package files that are there to be deployed.

use std::fs;
use std::path::{Path, PathBuf};

use super::control::Control;
use super::{ALL, NATIVE};
use crate::error::{Error, Kind, Result};
use crate::host::packages;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub path: PathBuf,
    pub version: String,
    architecture: String,
    depends: String,
}

/// One for every node, and one for each perl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    pub all: Package,
    natives: Vec<Package>,
}

impl Packages {
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let unreadable = |cause: std::io::Error| {
            Error::invalid(format!("{} cannot be read: {cause}", folder.display()))
                .advice("give the folder with the packages: --packages DIR")
        };
        let (mut all, mut natives) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if !name.starts_with(ALL) || !name.ends_with(".deb") {
                continue;
            }
            let control = Control::all(&packages::fields(&path)?)
                .into_iter()
                .next()
                .unwrap_or_default();
            let package = |path| Package {
                path,
                version: control.get("Version").unwrap_or_default().to_owned(),
                architecture: control.get("Architecture").unwrap_or_default().to_owned(),
                depends: control.get("Depends").unwrap_or_default().to_owned(),
            };
            match control.get("Package") {
                Some(ALL) => all.push(package(path)),
                Some(NATIVE) => natives.push(package(path)),
                _ => {}
            }
        }
        Self::complete(folder, all, natives)
    }

    fn complete(folder: &Path, all: Vec<Package>, natives: Vec<Package>) -> Result<Self> {
        let place = folder.display();
        let advice = "give a folder that has the packages of one version: --packages DIR";
        let [all] = <[Package; 1]>::try_from(all).map_err(|found| {
            Error::new(
                Kind::NotFound,
                format!("{place} has {} files of {ALL}, and one is needed", found.len()),
            )
            .advice(advice)
        })?;
        if let Some(other) = natives.iter().find(|native| native.version != all.version) {
            return Err(Error::invalid(format!(
                "{place} has {ALL} {} and {NATIVE} {}",
                all.version, other.version
            ))
            .advice(advice));
        }
        Ok(Self { all, natives })
    }

    /// The one that this perl can load.
    pub fn native_for(&self, perl_api: &[String], architecture: &str) -> Option<&Package> {
        self.natives.iter().find(|native| {
            let mut depends = native.depends.split(',').map(str::trim);
            native.architecture == architecture && depends.any(|name| perl_api.iter().any(|api| api == name))
        })
    }
}
