//! Sizes: PVE gives KiB to alloc_image and bytes to volume_resize; zvols are whole blocks.

use crate::config::BlockSize;
use crate::error::{Error, Result};

/// TrueNAS' default volblocksize where none is configured (128K only on dRAID).
pub const DEFAULT_BLOCK: u64 = 16 << 10;

/// KiB as text, possibly fractional, to bytes rounded up.
pub fn from_kib(text: &str) -> Result<u64> {
    let refused = || Error::invalid(format!("size '{text}' is not a positive number of KiB"));
    if let Ok(whole) = text.trim().parse::<u64>() {
        return if whole == 0 {
            Err(refused())
        } else {
            checked(whole.checked_mul(1024), text)
        };
    }
    let kib: f64 = text.trim().parse().map_err(|_| refused())?;
    if !(kib.is_finite() && kib > 0.0) {
        return Err(refused());
    }
    checked(whole_bytes(kib * 1024.0), text)
}

/// As people type it: `512M`, `4G`; without a letter bytes.
pub fn typed(text: &str) -> Result<u64> {
    let upper = text.trim().to_ascii_uppercase();
    let shift = match upper.chars().last() {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some('T') => 40,
        _ => 0,
    };
    let digits = upper.trim_end_matches(['K', 'M', 'G', 'T']);
    let has_one_letter = upper.len() - digits.len() <= 1;
    let number: Option<u64> = digits.parse().ok().filter(|number| *number > 0 && has_one_letter);
    let number = number.ok_or_else(|| {
        Error::invalid(format!("'{text}' is not a size")).advice("give a size like 512M or 4G")
    })?;
    checked(number.checked_mul(1 << shift), text)
}

/// Bytes as text; an absolute size for resize.
pub fn from_bytes(text: &str) -> Result<u64> {
    let bytes: u64 = text
        .trim()
        .parse()
        .map_err(|_| Error::invalid(format!("size '{text}' is not a positive number of bytes")))?;
    if bytes == 0 {
        Err(Error::invalid("size 0 is not a size"))
    } else {
        checked(Some(bytes), text)
    }
}

fn whole_bytes(bytes: f64) -> Option<u64> {
    // 2^53: beyond it a double does not hold every byte.
    (bytes <= 9_007_199_254_740_992.0).then(|| bytes.ceil() as u64)
}

/// JSON integers of the server are signed 64-bit.
fn checked(bytes: Option<u64>, text: &str) -> Result<u64> {
    bytes
        .filter(|bytes| *bytes <= 1 << 62)
        .ok_or_else(|| Error::invalid(format!("size '{text}' is larger than any volume can be")))
}

pub fn round_up(bytes: u64, block: u64) -> u64 {
    bytes.div_ceil(block.max(1)).saturating_mul(block.max(1))
}

/// What a new zvol of `bytes` really becomes: its size and the volblocksize to ask for.
pub fn fit(bytes: u64, configured: Option<BlockSize>, exact: bool) -> (u64, Option<BlockSize>) {
    let block = configured.map_or(DEFAULT_BLOCK, |block| block.bytes);
    if exact && bytes % block != 0 {
        let finer = std::iter::successors(Some(block / 2), |size| Some(size / 2))
            .take_while(|size| *size >= 512)
            .find(|size| bytes % size == 0)
            .and_then(BlockSize::from_bytes);
        if let Some(finer) = finer {
            return (bytes, Some(finer));
        }
    }
    (round_up(bytes, block), configured)
}

/// `1536` → `1.5 KiB`, for people.
pub fn human(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let text = format!("{value:.2}");
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFI: u64 = 528 << 10;

    #[test]
    fn odd_sizes_round_up_to_the_block_size() {
        let k = |kib: u64| BlockSize::from_bytes(kib << 10);
        assert_eq!(fit(EFI, k(64), false), (576 << 10, k(64)));
        assert_eq!(fit(EFI, k(128), false), (640 << 10, k(128)));
        assert_eq!(fit(EFI, None, false), (EFI, None));
    }

    #[test]
    fn exact_size_takes_a_finer_block_instead() {
        let (size, block) = fit(EFI, BlockSize::from_bytes(128 << 10), true);
        assert_eq!((size, block.unwrap().spelling()), (EFI, "16K"));
    }

    #[test]
    fn what_is_not_a_size_is_refused_with_its_text() {
        for text in ["0", "-1", "abc", "", "nan", "inf", "-0.5", "99999999999999999999"] {
            let error = from_kib(text).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        assert_eq!(from_kib("0.5").unwrap(), 512);
        assert_eq!(from_kib("528").unwrap(), EFI);
        assert!(from_bytes("1e3").is_err());
    }

    #[test]
    fn what_people_type_has_a_letter_or_is_bytes() {
        assert_eq!(typed("512M").unwrap(), 512 << 20);
        assert_eq!(typed(" 4g").unwrap(), 4 << 30);
        assert_eq!(typed("4096").unwrap(), 4096);
        for text in ["0", "", "G", "1GG", "1.5G", "-1G", "4GiB", "99999999T"] {
            assert!(typed(text).unwrap_err().to_string().contains(text), "{text}");
        }
    }

    #[test]
    fn human_sizes_are_short() {
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(10 << 40), "10 TiB");
        assert_eq!(human(7), "7 B");
    }
}
