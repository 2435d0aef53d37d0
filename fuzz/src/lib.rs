//! Bytes from outside, and what is promised of them. Each target is a plain function that ends the process where a promise
//! is broken: libFuzzer calls it from `fuzz_targets/`, the test `replay` with the committed corpora.

mod answer;
mod frame;
mod name;
mod node;
mod program;
mod scfg;
mod session;

pub use answer::answer;
pub use frame::frame;
pub use name::name;
pub use node::node;
pub use program::program;
pub use scfg::scfg;
pub use session::session;

pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("answer", answer),
    ("frame", frame),
    ("name", name),
    ("node", node),
    ("program", program),
    ("scfg", scfg),
    ("session", session),
];

/// What a shell, or a program that splits lines and words, would take for more than a letter.
pub(crate) fn has_another_meaning(text: &str) -> bool {
    text.chars()
        .any(|c| c.is_whitespace() || c.is_control() || "$`;|&<>(){}'\"\\*?!#,".contains(c))
}
