//! One thing that was looked at.

use crate::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Ok,
    /// Nobody could look.
    Unknown,
    Warning,
    Critical,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub grade: Grade,
    pub text: String,
    pub advice: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self::graded(name, Grade::Ok, text)
    }

    pub(super) fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self::graded(name, Grade::Warning, text)
    }

    pub(super) fn critical(name: &'static str, text: impl Into<String>) -> Self {
        Self::graded(name, Grade::Critical, text)
    }

    pub(super) fn unknown(name: &'static str, text: impl Into<String>) -> Self {
        Self::graded(name, Grade::Unknown, text)
    }

    pub(super) fn graded(name: &'static str, grade: Grade, text: impl Into<String>) -> Self {
        let (text, advice) = (text.into(), None);
        Self {
            name,
            grade,
            text,
            advice,
        }
    }

    pub(super) fn of(name: &'static str, grade: Grade, error: Error) -> Self {
        Self {
            advice: error.advice,
            ..Self::graded(name, grade, error.cause)
        }
    }

    pub(super) fn advice(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }
}
