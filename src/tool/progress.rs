//! What is done just now, for who waits at a terminal: a line each on standard error. Programs and files get none of it.

use std::io::{self, IsTerminal, Write};

#[derive(Clone, Copy)]
pub struct Progress {
    is_seen: bool,
}

impl Progress {
    pub fn new() -> Self {
        Self {
            is_seen: io::stderr().is_terminal(),
        }
    }

    pub fn say(self, step: &str) {
        if self.is_seen {
            // The work goes on when the terminal has gone.
            let _nobody_looks = writeln!(io::stderr(), "  {step}");
        }
    }

    /// Who sees the steps come sees what is printed afterwards too, in the same place.
    pub fn is_followed_by_the_text(self) -> bool {
        self.is_seen && io::stdout().is_terminal()
    }
}
