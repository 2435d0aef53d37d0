//! The protocol between processes and the node session: frames in pieces, the greeting, messages. The first byte says how
//! long the pieces are.

use pve_storage_truenas::fuzz;
use pve_storage_truenas::rpc::framing::{Unframer, header};
use pve_storage_truenas::rpc::shared::PROTOCOL;

/// As small as no real end has it, so that the bound is met by short inputs.
const LARGEST: usize = 1 << 10;
/// What is read ahead of a message, twice because a vector grows by doubling.
const READ_AHEAD: usize = 2 * (256 << 10);

pub fn session(data: &[u8]) {
    let Some((pieces, stream)) = data.split_first() else {
        return;
    };
    let whole = messages(stream, stream.len().max(1));
    let torn = messages(stream, usize::from(*pieces).max(1));
    assert_eq!(whole, torn);
    for message in &whole.0 {
        greeted(message);
        crate::frame(message.as_bytes());
    }
}

/// All messages, and whether the stream was refused in the end.
fn messages(stream: &[u8], pieces: usize) -> (Vec<String>, bool) {
    let mut unframer = Unframer::new(LARGEST);
    let mut found = Vec::new();
    for mut piece in stream.chunks(pieces) {
        while !piece.is_empty() {
            if unframer.fill(&mut piece).is_err() {
                return (found, true);
            }
            loop {
                match unframer.next_message() {
                    Ok(Some(message)) => {
                        assert!(message.len() <= LARGEST);
                        found.push(message);
                    }
                    Ok(None) => break,
                    Err(_) => return (found, true),
                }
            }
            assert!(fuzz::held_by(&unframer) <= 2 * LARGEST + READ_AHEAD);
        }
    }
    (found, false)
}

fn greeted(message: &str) {
    if let Ok(hello) = fuzz::greeting(message) {
        assert_eq!(hello.v, PROTOCOL);
    }
    let length = u32::try_from(message.len()).map(u32::to_be_bytes);
    assert_eq!(header(message.len()), length.ok());
}
