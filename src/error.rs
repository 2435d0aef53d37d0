//! What can go wrong, said so that an administrator knows what to do next.

use std::fmt;

/// Bytes of a cause that people are shown: servers and programs may say as much as they like.
const LONGEST_CAUSE: usize = 4 << 10;

pub type Result<T> = std::result::Result<T, Error>;

/// What sort of failure this is; code decides by it, people read the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value from storage.cfg or from the caller is not usable.
    Invalid,
    NotFound,
    Exists,
    InUse,
    NoSpace,
    /// The NAS refused the credentials or the role; never retried.
    Auth,
    /// Too many logins; the text names the second when one is free.
    RateLimited,
    /// Nobody answers: refused, unreachable, closed, or the certificate is not trusted.
    Unreachable,
    Timeout,
    /// A mutation was sent and its answer never came: it may have happened.
    LostAnswer,
    /// A Perl signal handler died while we waited.
    Interrupted,
    /// The server understood and said no, for a reason that has no kind of its own.
    Refused,
    /// The server does not know the method.
    NoMethod,
    Unsupported,
    /// The server said something that we do not understand.
    Protocol,
    /// Something on this node: a program, a device, the kernel.
    Host,
    /// The right device, with another size than its zvol.
    OtherSize,
    Internal,
}

/// Operation, object, cause, advice, and what went wrong while taking back earlier steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    pub cause: String,
    pub operation: Option<String>,
    pub advice: Option<String>,
    pub leftovers: Vec<String>,
}

impl Error {
    pub fn new(kind: Kind, cause: impl Into<String>) -> Self {
        Self {
            kind,
            cause: shortened(cause.into()),
            operation: None,
            advice: None,
            leftovers: Vec::new(),
        }
    }

    pub fn invalid(cause: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, cause)
    }

    /// `doing` names the operation and its object; the outermost name wins.
    pub fn doing(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// What is wrong is the value of this key.
    pub fn of_key(mut self, key: &str) -> Self {
        self.cause = shortened(format!("{key}: {}", self.cause));
        self
    }

    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice.get_or_insert(advice.into());
        self
    }

    /// What was looked at to tell why, a line each.
    pub fn having_found(mut self, lines: &[String]) -> Self {
        for line in lines {
            self.cause.push_str("\n  ");
            self.cause.push_str(line);
        }
        self
    }

    pub fn leaving(mut self, leftover: impl Into<String>) -> Self {
        self.leftovers.push(leftover.into());
        self
    }
}

fn shortened(mut cause: String) -> String {
    if cause.len() > LONGEST_CAUSE {
        let whole = cause.len();
        let cut = (0..=LONGEST_CAUSE).rev().find(|at| cause.is_char_boundary(*at));
        cause.truncate(cut.unwrap_or(0));
        cause.shrink_to_fit();
        cause.push_str(&format!("… ({whole} bytes)"));
    }
    cause
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = &self.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(self.cause.trim_end())?;
        for leftover in &self.leftovers {
            write!(f, "\n  left behind: {leftover}")?;
        }
        match &self.advice {
            Some(advice) => write!(f, "\n  what to do: {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_fill_a_log_is_cut_off_between_letters() {
        let error = Error::new(Kind::Protocol, "é".repeat(1_000_000));
        assert!(error.cause.len() < 5000 && error.cause.ends_with("é… (2000000 bytes)"));
        assert_eq!(Error::new(Kind::Protocol, "é").cause, "é");
    }

    #[test]
    fn text_names_operation_cause_findings_leftovers_and_advice_in_this_order() {
        let error = Error::new(Kind::InUse, "it is open")
            .having_found(&["1. one".to_owned(), "2. two".to_owned()])
            .doing("free vm-100-disk-0 on 'nas1'")
            .leaving("extent 7")
            .advice("stop the guest");
        assert_eq!(
            error.to_string(),
            "free vm-100-disk-0 on 'nas1': it is open\n  1. one\n  2. two\n  left behind: extent 7\n  what to do: stop the guest"
        );
    }
}
