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
    pub(in crate::ops) fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self::graded(name, Grade::Ok, text)
    }

    pub(in crate::ops) fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self::graded(name, Grade::Warning, text)
    }

    pub(in crate::ops) fn critical(name: &'static str, text: impl Into<String>) -> Self {
        Self::graded(name, Grade::Critical, text)
    }

    pub(in crate::ops) fn unknown(name: &'static str, text: impl Into<String>) -> Self {
        Self::graded(name, Grade::Unknown, text)
    }

    pub(in crate::ops) fn graded(name: &'static str, grade: Grade, text: impl Into<String>) -> Self {
        let (text, advice) = (text.into(), None);
        Self {
            name,
            grade,
            text,
            advice,
        }
    }

    pub(in crate::ops) fn of(name: &'static str, grade: Grade, error: Error) -> Self {
        Self {
            advice: error.advice,
            ..Self::graded(name, grade, error.cause)
        }
    }

    pub(in crate::ops) fn advice(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }
}
