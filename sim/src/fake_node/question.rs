//! What the node is asked, one JSON list of words a line, and what it answers.

use serde::{Deserialize, Serialize};

pub type Question = Vec<String>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// A program's exit code; otherwise an errno, or 0.
    pub code: i32,
    pub text: String,
}

impl Reply {
    pub fn done(text: impl Into<String>) -> Self {
        Self::exit(0, text)
    }

    pub fn exit(code: i32, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}
