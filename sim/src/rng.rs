//! A small seeded generator (splitmix64): the same seed gives the same serials, guids and delays.

#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high.saturating_sub(low) + 1)
    }

    pub fn hex(&mut self, digits: usize) -> String {
        (0..digits)
            .filter_map(|_| char::from_digit((self.draw() >> 60) as u32, 16))
            .collect()
    }

    pub fn alphanumeric(&mut self, length: usize) -> String {
        const SET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length)
            .filter_map(|_| SET.get((self.draw() % 62) as usize).map(|b| char::from(*b)))
            .collect()
    }

    pub fn uuid(&mut self) -> String {
        let (a, b) = (self.draw(), self.draw());
        let (a, b) = (a & !0xf000 | 0x4000, b & !(0xc << 60) | (0x8 << 60));
        let (head, mid, version) = (a >> 32, a >> 16 & 0xffff, a & 0xffff);
        format!(
            "{head:08x}-{mid:04x}-{version:04x}-{:04x}-{:012x}",
            b >> 48,
            b & 0xffff_ffff_ffff
        )
    }
}
