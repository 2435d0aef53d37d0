//! What a block device itself answers: SCSI INQUIRY and its size.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

const SG_IO: libc::Ioctl = 0x2285;
const BLKGETSIZE64: libc::Ioctl = 0x8008_1272_u32 as libc::Ioctl;
const SG_DXFER_FROM_DEV: i32 = -3;
const TIMEOUT_MILLIS: u32 = 3000;

/// `sg_io_hdr_t` of <scsi/sg.h>.
#[repr(C)]
struct SgIoHeader {
    interface_id: i32,
    dxfer_direction: i32,
    cmd_len: u8,
    mx_sb_len: u8,
    iovec_count: u16,
    dxfer_len: u32,
    dxferp: *mut libc::c_void,
    cmdp: *const u8,
    sbp: *mut u8,
    timeout: u32,
    flags: u32,
    pack_id: i32,
    usr_ptr: *mut libc::c_void,
    status: u8,
    masked_status: u8,
    msg_status: u8,
    sb_len_wr: u8,
    host_status: u16,
    driver_status: u16,
    resid: i32,
    duration: u32,
    info: u32,
}

/// Opens a block device to ask it; never waits for a medium or a lost path.
pub fn open(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    if file.metadata()?.file_type().is_block_device() {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// Major and minor number together.
pub fn device_number(path: &Path) -> io::Result<u64> {
    let metadata = path.metadata()?;
    if metadata.file_type().is_block_device() {
        Ok(metadata.rdev())
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// Bytes.
pub fn size(device: &File) -> io::Result<u64> {
    let mut bytes = 0_u64;
    // SAFETY: the ioctl writes one u64.
    match unsafe { libc::ioctl(device.as_raw_fd(), BLKGETSIZE64, &raw mut bytes) } {
        0 => Ok(bytes),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The Device Identification page (VPD 0x83), asked from the device now.
pub fn device_identification(device: &File) -> io::Result<Vec<u8>> {
    let mut page = vec![0_u8; 1024];
    let mut sense = [0_u8; 32];
    let command = [0x12, 1, 0x83, 4, 0, 0];
    let mut header = SgIoHeader {
        interface_id: i32::from(b'S'),
        dxfer_direction: SG_DXFER_FROM_DEV,
        cmd_len: 6,
        mx_sb_len: 32,
        iovec_count: 0,
        dxfer_len: 1024,
        dxferp: page.as_mut_ptr().cast(),
        cmdp: command.as_ptr(),
        sbp: sense.as_mut_ptr(),
        timeout: TIMEOUT_MILLIS,
        flags: 0,
        pack_id: 0,
        usr_ptr: std::ptr::null_mut(),
        status: 0,
        masked_status: 0,
        msg_status: 0,
        sb_len_wr: 0,
        host_status: 0,
        driver_status: 0,
        resid: 0,
        duration: 0,
        info: 0,
    };
    // SAFETY: the header has the kernel's layout and all buffers outlive the call.
    if unsafe { libc::ioctl(device.as_raw_fd(), SG_IO, &raw mut header) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if header.status != 0 || header.host_status != 0 {
        return Err(io::Error::other(format!(
            "INQUIRY failed (status {:#x}, host {:#x}, driver {:#x})",
            header.status, header.host_status, header.driver_status
        )));
    }
    let received = page
        .len()
        .saturating_sub(usize::try_from(header.resid).unwrap_or(0));
    page.truncate(received);
    Ok(page)
}
