//! Messages between the processes of a node and its node session: a length of four bytes, big-endian, then UTF-8.

use std::io::{self, Read};

const HEADER: usize = 4;
const SMALLEST_READ: usize = 4 << 10;
const LARGEST_READ: usize = 256 << 10;

/// What goes before a message of `length` bytes; `None` when no frame is that long.
pub fn header(length: usize) -> Option<[u8; HEADER]> {
    u32::try_from(length).ok().map(u32::to_be_bytes)
}

/// Puts messages together from what arrives.
pub struct Unframer {
    largest: usize,
    pub(crate) received: Vec<u8>,
}

impl Unframer {
    pub fn new(largest: usize) -> Self {
        Self {
            largest,
            received: Vec::new(),
        }
    }

    /// Reads once; 0 at the end of the stream.
    pub fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        let old = self.received.len();
        let room = self.missing().clamp(SMALLEST_READ, LARGEST_READ);
        self.received.resize(old + room, 0);
        let read = match self.received.get_mut(old..) {
            Some(room) => from.read(room),
            None => Ok(0),
        };
        self.received
            .truncate(old + read.as_ref().map_or(0, |count| *count));
        read
    }

    /// Length of the message that has begun.
    fn announced(&self) -> Option<usize> {
        let (header, _) = self.received.split_first_chunk::<HEADER>()?;
        Some(usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX))
    }

    /// A whole message has come.
    pub fn has_message(&self) -> bool {
        self.announced().is_some() && self.missing() == 0
    }

    fn missing(&self) -> usize {
        let announced = self.announced().unwrap_or(0);
        announced
            .saturating_add(HEADER)
            .saturating_sub(self.received.len())
    }

    /// The next message, if all of it is there.
    pub fn next_message(&mut self) -> io::Result<Option<String>> {
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let Some(length) = self.announced() else {
            return Ok(None);
        };
        if length > self.largest {
            return Err(invalid("a message is too long"));
        }
        let end = HEADER + length;
        if self.received.len() < end {
            return Ok(None);
        }
        let rest = self.received.split_off(end);
        let mut message = std::mem::replace(&mut self.received, rest);
        message.drain(..HEADER);
        String::from_utf8(message)
            .map(Some)
            .map_err(|_| invalid("a message is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(text: &str) -> Vec<u8> {
        let mut bytes = header(text.len()).unwrap().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn messages_arrive_whole_whatever_the_pieces_are() {
        let mut stream = framed("{\"a\":1}");
        stream.extend(framed(""));
        stream.extend(framed("zwei €"));
        for size in 1..stream.len() {
            let mut unframer = Unframer::new(100);
            let mut found = Vec::new();
            for mut piece in stream.chunks(size) {
                unframer.fill(&mut piece).unwrap();
                while let Some(message) = unframer.next_message().unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, ["{\"a\":1}", "", "zwei €"], "pieces of {size}");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_kept() {
        let mut unframer = Unframer::new(100);
        unframer.fill(&mut &[0xff, 0xff, 0xff, 0xff][..]).unwrap();
        assert!(unframer.next_message().is_err());
    }

    #[test]
    fn what_is_not_utf_8_is_refused() {
        let mut unframer = Unframer::new(100);
        unframer.fill(&mut &[0, 0, 0, 1, 0xff][..]).unwrap();
        assert!(unframer.next_message().is_err());
    }
}
