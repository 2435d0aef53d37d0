//! Large data between a block device and a pipe of PVE's. There is no time limit, because images may be large and the other
//! end slow, but Perl's handlers run meanwhile.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::poll::{self, Interest};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

const PIECE: usize = 1 << 20;
/// Zeros are left out in steps of this.
const BLOCK: usize = 64 << 10;

/// A descriptor that belongs to Perl, under another number of our own.
pub fn of_perl(fd: i32) -> Result<File> {
    // SAFETY: fcntl(2) refuses numbers that are no descriptors; the new one is owned at once.
    unsafe {
        match libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) {
            copy if copy >= 0 => Ok(File::from(OwnedFd::from_raw_fd(copy))),
            _ => Err(failed("the stream", &io::Error::last_os_error())),
        }
    }
}

fn failed(what: &str, cause: &io::Error) -> Error {
    Error::new(Kind::Host, format!("{what}: {cause}"))
}

/// Fills `buffer`; fewer bytes at the end of the stream.
pub fn read_full(from: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        poll::ready(from.as_raw_fd(), Interest::Read, Deadline::never())?;
        match from.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(failed("reading", &cause)),
        }
    }
    Ok(filled)
}

pub fn write_full(to: &mut File, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        poll::ready(to.as_raw_fd(), Interest::Write, Deadline::never())?;
        match to.write(data) {
            Ok(count) => data = data.get(count..).unwrap_or_default(),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(failed("writing", &cause)),
        }
    }
    Ok(())
}

/// Exactly `bytes`; an error when the source ends before.
pub fn copy(from: &mut File, to: &mut File, bytes: u64) -> Result<()> {
    pieces(from, bytes, |piece| write_full(to, piece))
}

/// As `copy`, onto a device that reads as zeros so far.
pub fn copy_sparse(from: &mut File, to: &mut File, bytes: u64) -> Result<()> {
    pieces(from, bytes, |piece| {
        for block in piece.chunks(BLOCK) {
            if block.iter().all(|byte| *byte == 0) {
                let length = i64::try_from(block.len()).unwrap_or(0);
                to.seek(SeekFrom::Current(length))
                    .map_err(|cause| failed("writing", &cause))?;
            } else {
                write_full(to, block)?;
            }
        }
        Ok(())
    })?;
    to.sync_all().map_err(|cause| failed("writing", &cause))
}

fn pieces(from: &mut File, bytes: u64, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0_u8; PIECE];
    let mut left = bytes;
    while left > 0 {
        let wanted = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        let count = read_full(from, piece)?;
        if count < wanted {
            let missing = left - count as u64;
            return Err(Error::new(
                Kind::Host,
                format!("the data end {missing} bytes before the {bytes} that were announced"),
            ));
        }
        take(piece)?;
        left -= count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!("stream-{}-{content:p}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file
    }

    #[test]
    fn zeros_are_left_out_and_everything_else_arrives() {
        let mut data = vec![0_u8; 3 * BLOCK + 7];
        data[BLOCK + 5] = 1;
        *data.last_mut().unwrap() = 2;
        let mut to = file(&[]);
        copy_sparse(&mut file(&data), &mut to, data.len() as u64).unwrap();
        let mut read = Vec::new();
        to.seek(SeekFrom::Start(0)).unwrap();
        to.read_to_end(&mut read).unwrap();
        assert_eq!(read, data);
    }

    #[test]
    fn a_stream_that_ends_early_is_an_error() {
        let error = copy(&mut file(&[1; 100]), &mut file(&[]), 200).unwrap_err();
        assert!(error.cause.contains("100 bytes before the 200"), "{error}");
    }
}
