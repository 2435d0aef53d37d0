//! Numbers in a file that many processes count up at once: each maps it, so that nobody waits for anybody, and what a process has
//! counted stays when it is killed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use super::file::beside;

const WORD: usize = size_of::<u64>();

/// What the file begins with: whoever does not know it leaves the file alone.
pub type Header = [u64; 2];

pub struct Counted {
    file: File,
    words: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the mapping belongs to the value until it is dropped, and is only read and written as atomics.
unsafe impl Send for Counted {}
// SAFETY: as above.
unsafe impl Sync for Counted {}

impl Counted {
    /// The file, made where there is none. Anything else of that name is an error and stays as it is.
    pub fn open(path: &Path, header: Header, count: usize) -> io::Result<Self> {
        match Self::existing(path, header, count) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                make(path, header, length(count)?)?;
                Self::existing(path, header, count)
            }
            opened => opened,
        }
    }

    pub fn existing(path: &Path, header: Header, count: usize) -> io::Result<Self> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)?;
        let length = length(count)?;
        let about = file.metadata()?;
        let private = about.is_file() && about.uid() == own_uid() && about.mode() & 0o077 == 0;
        if !private || about.len() != length as u64 || read_header(&file)? != header {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // A page that has no memory yet would end the process when the node has none left.
        allocate(&file, length)?;
        let words = map(&file, length)?;
        Ok(Self { file, words, count })
    }

    /// False when another file has its name, or none.
    pub fn is_linked(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.nlink() > 0)
    }

    pub fn word(&self, at: usize) -> Option<&AtomicU64> {
        if at >= self.count {
            return None;
        }
        // SAFETY: the mapping has room for the header and `count` words, which are aligned, and lives as long as `self`.
        Some(unsafe { self.words.add(size_of::<Header>() / WORD + at).as_ref() })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Ok(length) = length(self.count) {
            // SAFETY: what `map` returned, with the same length; nobody holds a reference any more.
            unsafe { libc::munmap(self.words.as_ptr().cast(), length) };
        }
    }
}

fn length(count: usize) -> io::Result<usize> {
    let words = count.checked_mul(WORD);
    words
        .and_then(|bytes| bytes.checked_add(size_of::<Header>()))
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn own_uid() -> u32 {
    // SAFETY: geteuid cannot fail and has no arguments.
    unsafe { libc::geteuid() }
}

fn read_header(file: &File) -> io::Result<Header> {
    let mut header = Header::default();
    for (at, word) in header.iter_mut().enumerate() {
        let mut bytes = [0; WORD];
        file.read_exact_at(&mut bytes, (at * WORD) as u64)?;
        *word = u64::from_ne_bytes(bytes);
    }
    Ok(header)
}

/// Under a name of its own first, so that nobody sees a part of it, and whoever comes second finds the first one's.
fn make(path: &Path, header: Header, length: usize) -> io::Result<()> {
    let temporary = &beside(path);
    let _left_by_a_process_of_this_id = fs::remove_file(temporary);
    let made = fill(temporary, header, length).and_then(|()| fs::hard_link(temporary, path));
    let _gone_or_never_made = fs::remove_file(temporary);
    match made {
        Err(second) if second.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn fill(path: &Path, header: Header, length: usize) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    allocate(&file, length)?;
    let bytes: Vec<u8> = header.iter().flat_map(|word| word.to_ne_bytes()).collect();
    file.write_all(&bytes)
}

fn allocate(file: &File, length: usize) -> io::Result<()> {
    let length = libc::off_t::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor belongs to `file`, which outlives the call; no pointers are passed.
    match unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn map(file: &File, length: usize) -> io::Result<NonNull<AtomicU64>> {
    // SAFETY: a new mapping of a file that is at least so long; the kernel chooses a place, aligned to a page.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    match NonNull::new(start.cast()) {
        Some(words) if start != libc::MAP_FAILED => Ok(words),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::sync::atomic::Ordering;

    use super::*;

    const HEADER: Header = [7, 8];

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("counted.{}.{name}", std::process::id()));
        let _left_by_an_earlier_process_of_this_id = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn add(counted: &Counted, at: usize) -> u64 {
        counted.word(at).unwrap().fetch_add(1, Ordering::Relaxed)
    }

    #[test]
    fn all_who_open_the_file_count_the_same_numbers() {
        let folder = folder("same");
        let path = folder.join("numbers");
        let (one, other) = (
            Counted::open(&path, HEADER, 3).unwrap(),
            Counted::open(&path, HEADER, 3).unwrap(),
        );
        assert_eq!((add(&one, 2), add(&other, 2), add(&one, 2)), (0, 1, 2));
        assert!(one.word(3).is_none());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_such_file_is_left_as_it_is() {
        let folder = folder("other");
        let path = folder.join("numbers");
        drop(Counted::open(&path, HEADER, 3).unwrap());
        assert!(Counted::open(&path, [7, 9], 3).is_err(), "another layout");
        assert!(Counted::open(&path, HEADER, 4).is_err(), "another length");
        let link = folder.join("link");
        symlink(&path, &link).unwrap();
        assert!(Counted::open(&link, HEADER, 3).is_err(), "a symbolic link");
        for content in [&b""[..], b"torn", &[7; 40]] {
            fs::write(&path, content).unwrap();
            assert!(Counted::open(&path, HEADER, 3).is_err());
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(Counted::open(&path, HEADER, 3).is_err(), "a folder");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_others_may_read_is_not_believed() {
        let folder = folder("open");
        let path = folder.join("numbers");
        drop(Counted::open(&path, HEADER, 3).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Counted::open(&path, HEADER, 3).is_err());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn one_that_was_removed_is_known() {
        let folder = folder("removed");
        let path = folder.join("numbers");
        let counted = Counted::open(&path, HEADER, 3).unwrap();
        assert!(counted.is_linked());
        fs::remove_file(&path).unwrap();
        assert!(!counted.is_linked());
        assert_eq!(add(&counted, 0), 0);
        fs::remove_dir_all(folder).unwrap();
    }
}
