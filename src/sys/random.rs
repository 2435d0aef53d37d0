//! Randomness from the kernel.

use ring::rand::{SecureRandom, SystemRandom};

use crate::error::{Error, Kind, Result};

pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::new(Kind::Internal, "the kernel gave no random numbers"))?;
    Ok(bytes)
}

/// A random number below `limit` (1 to 256).
pub fn below(limit: u8) -> Result<u8> {
    let [byte] = bytes::<1>()?;
    Ok(byte % limit.max(1))
}

/// A version 4 UUID in lower case.
pub fn uuid() -> Result<String> {
    let number = u128::from_be_bytes(bytes::<16>()?);
    let versioned = (number & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{versioned:032x}");
    let mut text = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn uuid_is_version_4_and_not_repeated() {
        let one = super::uuid().unwrap();
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&one.as_bytes()[19]), "{one}");
        assert_ne!(one, super::uuid().unwrap());
    }
}
