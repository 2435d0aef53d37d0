//! Extended regular expressions, as the C library has them: close to those of LVM, whose filters are read with them.

use std::ffi::CString;
use std::mem::MaybeUninit;

pub struct Regex(Box<libc::regex_t>);

impl Regex {
    /// `None` where the pattern is none.
    pub fn new(pattern: &str) -> Option<Self> {
        let pattern = CString::new(pattern).ok()?;
        let mut compiled = Box::new(MaybeUninit::<libc::regex_t>::uninit());
        // SAFETY: `compiled` has room for a regex_t, and `pattern` ends with a zero byte; both outlive the call.
        let code = unsafe {
            libc::regcomp(
                compiled.as_mut_ptr(),
                pattern.as_ptr(),
                libc::REG_EXTENDED | libc::REG_NOSUB,
            )
        };
        if code != 0 {
            return None;
        }
        // SAFETY: regcomp has filled it, as 0 says (regcomp(3)).
        Some(Self(unsafe { compiled.assume_init() }))
    }

    /// Anywhere in the text.
    pub fn is_in(&self, text: &str) -> bool {
        let Ok(text) = CString::new(text) else {
            return false;
        };
        // SAFETY: the expression was compiled and is not freed yet; no matches are asked for, so none are written.
        unsafe { libc::regexec(&raw const *self.0, text.as_ptr(), 0, std::ptr::null_mut(), 0) == 0 }
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: it was compiled, and nobody has it any more.
        unsafe { libc::regfree(&raw mut *self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_anywhere_unless_anchored() {
        let found = |pattern: &str, text: &str| Regex::new(pattern).unwrap().is_in(text);
        assert!(found("/dev/zd.*", "/dev/zd16") && found("(sd|vd)[a-z]+$", "/dev/sdb"));
        assert!(!found("^sd", "/dev/sdb") && !found("sda$", "/dev/sdab"));
        assert!(Regex::new("(").is_none() && Regex::new("a\0b").is_none());
    }
}
