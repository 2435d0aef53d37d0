//! The files of the node. Every path is made here, from names, and none leads out of the folder.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// What a start of the node makes anew: memory does not survive one.
const VOLATILE: [&str; 3] = ["sys", "dev", "fake"];
const KEPT: [&str; 5] = ["etc", "usr", "lib", "run", "var"];

pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Takes a folder over. One with a `sys` that is not a fake node's is somebody's root file system.
    pub fn boot(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let folder = Self {
            root: root.canonicalize()?,
        };
        let real_root = folder.root == Path::new("/");
        if real_root || folder.root.join("sys").exists() && !folder.root.join("fake").is_dir() {
            return Err(refused(&folder.root, "is not a folder of a fake node"));
        }
        for name in VOLATILE.iter().chain(&KEPT) {
            if folder.root.join(name).is_symlink() {
                return Err(refused(&folder.root.join(name), "is a link"));
            }
        }
        for name in VOLATILE {
            folder.remove(name)?;
            fs::create_dir(folder.root.join(name))?;
        }
        Ok(folder)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the folder. Names come from configuration and command lines: one with dots in it leads nowhere.
    pub fn at(&self, below: &str) -> io::Result<PathBuf> {
        let path = Path::new(below);
        if path
            .components()
            .all(|component| matches!(component, Component::Normal(_)))
        {
            Ok(self.root.join(path))
        } else {
            Err(refused(path, "leads out of the folder"))
        }
    }

    pub fn read(&self, below: &str) -> io::Result<String> {
        fs::read_to_string(self.at(below)?)
    }

    /// Names in a folder, in order.
    pub fn names(&self, below: &str) -> Vec<String> {
        let entries = self.at(below).and_then(fs::read_dir).into_iter().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    pub fn make(&self, below: &str) -> io::Result<()> {
        fs::create_dir_all(self.at(below)?)
    }

    /// In one step, with the folders above it.
    pub fn write(&self, below: &str, content: &str, mode: u32) -> io::Result<()> {
        self.place(below, |fresh| {
            fs::write(fresh, content)?;
            fs::set_permissions(fresh, fs::Permissions::from_mode(mode))
        })
    }

    /// `to` is relative to the root of the node; the link is relative to itself, as those of sysfs and udev are.
    pub fn link(&self, below: &str, to: &str) -> io::Result<()> {
        let up = "../".repeat(Path::new(below).components().count().saturating_sub(1));
        self.place(below, |fresh| symlink(format!("{up}{to}"), fresh))
    }

    fn place(&self, below: &str, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        let path = self.at(below)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let fresh = self.root.join("fake/fresh");
        let made = make(&fresh).and_then(|()| fs::rename(&fresh, &path));
        if made.is_err() {
            let _never_made = fs::remove_file(&fresh);
        }
        made
    }

    /// A file, a link or a tree; one that is not there is gone already.
    pub fn remove(&self, below: &str) -> io::Result<()> {
        let path = self.at(below)?;
        let removed = match path.symlink_metadata() {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(cause) => Err(cause),
        };
        match removed {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        }
    }
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("fake-node-{name}.{}", std::process::id()));
        let _left_over = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let root = empty("out");
        let folder = Folder::boot(&root).unwrap();
        for below in ["../x", "/etc/passwd", "etc/../../x", "./x"] {
            assert!(folder.at(below).is_err(), "{below}");
            assert!(folder.write(below, "", 0o600).is_err(), "{below}");
            assert!(folder.remove(below).is_err(), "{below}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn no_other_root_file_system_is_taken_over() {
        let root = empty("other");
        fs::create_dir(root.join("sys")).unwrap();
        fs::write(root.join("sys/kept"), "").unwrap();
        assert!(Folder::boot(&root).is_err());
        assert!(Folder::boot(Path::new("/")).is_err());
        assert!(root.join("sys/kept").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn folders_that_are_links_are_refused() {
        let (root, elsewhere) = (empty("link"), empty("elsewhere"));
        symlink(&elsewhere, root.join("dev")).unwrap();
        assert!(Folder::boot(&root).is_err());
        assert!(elsewhere.exists());
        fs::remove_dir_all(root).unwrap();
        fs::remove_dir_all(elsewhere).unwrap();
    }
}
