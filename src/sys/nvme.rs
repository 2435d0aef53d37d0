//! What an NVMe controller answers, and how the kernel is told to connect to one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use super::poll::{self, Interest};
use super::signals::Blocked;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

const ADMIN_COMMAND: libc::Ioctl = 0xC048_4E41_u32 as libc::Ioctl;
const BLKROSET: libc::Ioctl = 0x125D;
const BLKFLSBUF: libc::Ioctl = 0x1261;
const IDENTIFY: u8 = 6;
/// Namespace Identification Descriptor list (NVMe base specification, CNS 03h).
const DESCRIPTORS: u32 = 3;
/// Status code type 3h: what the way to the controller says, not the controller (NVMe base specification, 4.2.3).
const PATH_RELATED: libc::c_int = 3;
const TIMEOUT_MILLIS: u32 = 3000;
const PAGE: usize = 4096;

/// `nvme_passthru_cmd` of <linux/nvme_ioctl.h>.
#[repr(C)]
#[derive(Default)]
struct Passthru {
    opcode: u8,
    flags: u8,
    rsvd1: u16,
    nsid: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    addr: u64,
    metadata_len: u32,
    data_len: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    result: u32,
}

/// The identities of a namespace, asked from this controller now; `None` where it answers that it has none.
pub fn descriptors(controller: &Path, nsid: u32) -> io::Result<Option<Vec<u8>>> {
    let device = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(controller)?;
    let mut page = vec![0_u8; PAGE];
    let mut command = Passthru {
        opcode: IDENTIFY,
        nsid,
        addr: page.as_mut_ptr() as u64,
        data_len: 4096,
        cdw10: DESCRIPTORS,
        timeout_ms: TIMEOUT_MILLIS,
        ..Passthru::default()
    };
    // SAFETY: the command has the kernel's layout and the page outlives the call.
    match unsafe { libc::ioctl(device.as_raw_fd(), ADMIN_COMMAND, &raw mut command) } {
        0 => Ok(Some(page)),
        status if status > 0 && (status >> 8) & 7 == PATH_RELATED => {
            Err(io::Error::other(format!("NVMe status {status:#x}")))
        }
        status if status > 0 => Ok(None),
        _ => Err(io::Error::last_os_error()),
    }
}

pub fn set_read_only(device: &File) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the ioctl reads one int.
    match unsafe { libc::ioctl(device.as_raw_fd(), BLKROSET, &raw const on) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Writes back and forgets what this node has of the device in memory.
pub fn flush(device: &File) -> io::Result<()> {
    // SAFETY: the ioctl takes no argument.
    match unsafe { libc::ioctl(device.as_raw_fd(), BLKFLSBUF, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives `options` to the kernel and returns its answer, `instance=0,cntlid=1`. The write returns when the connection
/// stands or has failed, and nothing ends it before: a short-lived thread waits for it.
pub fn connect(fabrics: PathBuf, options: String, deadline: Deadline) -> Result<io::Result<String>> {
    let internal = |cause: io::Error| Error::new(Kind::Internal, format!("NVMe connection: {cause}"));
    let (mine, mut theirs) = UnixStream::pair().map_err(internal)?;
    let (sender, receiver) = mpsc::channel();
    {
        // As for the resolver: Perl's handlers must not run on this thread.
        let _blocked = Blocked::all();
        std::thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn(move || {
                let _receiver_gave_up = sender.send(write_and_read(&fabrics, &options));
                let _receiver_gave_up = theirs.write_all(b"x");
            })
            .map_err(internal)?;
    }
    if !poll::ready(mine.as_raw_fd(), Interest::Read, deadline)? {
        return Err(Error::new(
            Kind::Timeout,
            "the controller did not complete the connection in time",
        ));
    }
    receiver
        .try_recv()
        .map_err(|_| Error::new(Kind::Internal, "the NVMe connection ended without a result"))
}

fn write_and_read(fabrics: &Path, options: &str) -> io::Result<String> {
    let mut file = OpenOptions::new().read(true).write(true).open(fabrics)?;
    file.write_all(options.as_bytes())?;
    let mut answer = String::new();
    file.read_to_string(&mut answer)?;
    Ok(answer.trim().to_owned())
}
