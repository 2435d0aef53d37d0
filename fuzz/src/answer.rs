//! Answers of the API. The first line names the function of `api` that asked; any other line chooses one.

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::fuzz::{ANSWERS, Reading};

/// A typed value, or an error that says that the server is not understood.
pub fn answer(data: &[u8]) {
    let Some((first, text)) = std::str::from_utf8(data)
        .ok()
        .and_then(|data| data.split_once('\n'))
    else {
        return;
    };
    let Some((name, read)) = asked_by(first) else {
        return;
    };
    for error in read(text).into_iter().filter_map(Result::err) {
        // The one refusal that is an answer and no error of the server's.
        let refused = *name == "snapshot::clone" && error.kind == Kind::Refused;
        assert!(error.kind == Kind::Protocol || refused, "{name}: {error:?}");
    }
}

fn asked_by(line: &str) -> Option<&'static Reading> {
    let number = line.bytes().fold(0, |sum, byte| sum + usize::from(byte));
    let named = ANSWERS.iter().find(|(name, _)| *name == line);
    named.or_else(|| ANSWERS.get(number % ANSWERS.len()))
}
