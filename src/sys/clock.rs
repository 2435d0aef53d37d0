//! Clocks that all processes of a node share.

/// Milliseconds since boot, suspend included; the same for every process, gone after a reboot like `/run`.
pub fn boot_millis() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec; CLOCK_BOOTTIME exists on every supported kernel.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// `2026-11-29 11:27:32` in the node's own time zone.
pub fn local(seconds: u64) -> Option<String> {
    let seconds = libc::time_t::try_from(seconds).ok()?;
    // SAFETY: localtime_r(3) reads one value and fills the other, both of which outlive it.
    let parts = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        (!libc::localtime_r(&raw const seconds, &raw mut parts).is_null()).then_some(parts)
    }?;
    Some(format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        parts.tm_year + 1900,
        parts.tm_mon + 1,
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_a_date() {
        let text = local(1_700_000_000).unwrap();
        assert!(text.starts_with("2023-11-1") && text.len() == 19, "{text}");
    }
}
