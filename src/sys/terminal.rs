//! What is typed stays unseen for a while.

use std::io;
use std::mem::MaybeUninit;

/// While it lives; where standard input is no terminal nothing is shown anyway.
pub struct Hidden(Option<libc::termios>);

impl Hidden {
    pub fn new() -> Self {
        let before = settings().ok();
        if let Some(shown) = before {
            let hidden = libc::termios {
                c_lflag: shown.c_lflag & !libc::ECHO,
                ..shown
            };
            set(&hidden);
        }
        Self(before)
    }
}

impl Default for Hidden {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            set(before);
        }
    }
}

fn settings() -> io::Result<libc::termios> {
    let mut settings = MaybeUninit::uninit();
    // SAFETY: tcgetattr fills what the pointer leads to, or fails.
    unsafe {
        match libc::tcgetattr(libc::STDIN_FILENO, settings.as_mut_ptr()) {
            0 => Ok(settings.assume_init()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn set(settings: &libc::termios) {
    // SAFETY: the settings are those that tcgetattr filled, with one flag changed at most.
    unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, settings) };
}
