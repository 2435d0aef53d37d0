//! How to take back what was done, in reverse, unless the work is committed.

use crate::error::Error;

type Step<'a, C> = (String, Box<dyn FnOnce(&mut C) -> Result<(), Error> + 'a>);

/// A stack of steps over some context `C`.
pub struct Undo<'a, C> {
    steps: Vec<Step<'a, C>>,
}

impl<'a, C> Default for Undo<'a, C> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<'a, C> Undo<'a, C> {
    /// `what` names the object that stays behind when the step fails.
    pub fn push(&mut self, what: impl Into<String>, step: impl FnOnce(&mut C) -> Result<(), Error> + 'a) {
        self.steps.push((what.into(), Box::new(step)));
    }

    /// Runs every step, newest first; what could not be undone is named in the returned error.
    pub fn roll_back(self, context: &mut C, cause: Error) -> Error {
        self.steps
            .into_iter()
            .rev()
            .fold(cause, |error, (what, step)| match step(context) {
                Ok(()) => error,
                Err(failed) => error.leaving(format!("{what} ({})", failed.cause)),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn steps_run_newest_first_and_failures_are_named() {
        let mut undo = Undo::default();
        undo.push("zvol a", |log: &mut Vec<&str>| {
            log.push("zvol");
            Ok(())
        });
        undo.push("extent 3", |log: &mut Vec<&str>| {
            log.push("extent");
            Err(Error::new(Kind::InUse, "busy"))
        });
        let mut log = Vec::new();
        let error = undo.roll_back(&mut log, Error::invalid("cause"));
        assert_eq!(log, ["extent", "zvol"]);
        assert_eq!(error.leftovers, ["extent 3 (busy)"]);
        assert_eq!(error.cause, "cause");
    }
}
