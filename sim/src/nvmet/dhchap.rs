//! Keys of DH-HMAC-CHAP, "DHHC-1:HASH:BASE64:" with a CRC-32 behind the secret, as `nvme gen-dhchap-key` makes them.

use crate::rng::Rng;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// API name, the hash's number in a key, bytes of its secrets.
const HASHES: &[(&str, &str, usize)] = &[
    ("SHA-256", "01", 32),
    ("SHA-384", "02", 48),
    ("SHA-512", "03", 64),
];
pub const GROUPS: &[&str] = &["2048-BIT", "3072-BIT", "4096-BIT", "6144-BIT", "8192-BIT"];

pub fn hashes() -> Vec<&'static str> {
    HASHES.iter().map(|(name, ..)| *name).collect()
}

pub fn generate(rng: &mut Rng, hash: &str) -> String {
    let known = HASHES.iter().find(|(name, ..)| *name == hash);
    let (number, length) = known.map_or(("01", 32), |(_, number, length)| (*number, *length));
    let mut bytes: Vec<u8> = (0..length).map(|_| rng.draw().to_be_bytes()[0]).collect();
    bytes.extend(crc32(&bytes).to_le_bytes());
    format!("DHHC-1:{number}:{}:", encoded(&bytes))
}

/// What the server finds wrong with a key. It looks at the form only; the kernel refuses a wrong checksum later.
pub fn complaint(key: &str) -> Option<String> {
    const ADVICE: &str = "Use \"nvme gen-dhchap-key\" to generate.";
    let Some(number) = key
        .strip_prefix("DHHC-1:")
        .and_then(|rest| rest.get(..3))
        .and_then(|number| number.strip_suffix(':'))
    else {
        return Some(format!("Unexpected key format. {ADVICE}"));
    };
    if number == "00" {
        return (!key.ends_with(':')).then(|| format!("Unexpected key termination. {ADVICE}"));
    }
    match HASHES.iter().find(|(_, known, _)| *known == number) {
        None => Some(format!("Unexpected key format. {ADVICE}")),
        Some((_, _, length)) => {
            let secret = key.split(':').nth(2).unwrap_or_default();
            (decoded_length(secret) != length + 4).then(|| format!("Expected key length of {length}"))
        }
    }
}

fn decoded_length(text: &str) -> usize {
    text.trim_end_matches('=').len() * 6 / 8
}

fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| {
            bits << 8 | u32::from(part.get(i).copied().unwrap_or(0))
        });
        for i in 0..4 {
            let digit = ALPHABET.get((bits >> (18 - 6 * i) & 63) as usize);
            text.push(if i > part.len() {
                '='
            } else {
                char::from(*digit.unwrap_or(&b'='))
            });
        }
    }
    text
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn base64_is_padded() {
        let texts = ["", "f", "fo", "foo", "foob"].map(|text| encoded(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    #[test]
    fn keys_that_are_made_pass() {
        for hash in hashes() {
            assert_eq!(complaint(&generate(&mut Rng::new(1), hash)), None, "{hash}");
        }
    }
}
