//! A panic becomes an ordinary error: crossing into C++ it would abort the daemon.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::error::{Error, Kind, Result};

thread_local! {
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers where a panic happened instead of printing it; the error carries it.
pub fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let location = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            LOCATION.with(|slot| {
                if let Ok(mut slot) = slot.try_borrow_mut() {
                    *slot = location;
                }
            });
        }));
    });
}

pub fn guard<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(internal(&*payload)))
}

fn internal(payload: &(dyn Any + Send)) -> Error {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "panic",
    };
    let location = LOCATION.with(|slot| slot.try_borrow_mut().ok().and_then(|mut slot| slot.take()));
    let location = location.as_deref().unwrap_or("unknown place");
    Error::new(Kind::Internal, format!("internal error: {text} ({location})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_place() {
        install_panic_hook();
        let error = guard::<()>(|| panic!("broken {}", 7)).unwrap_err();
        assert_eq!(error.kind, Kind::Internal);
        assert!(
            error
                .to_string()
                .starts_with("internal error: broken 7 (src/ffi/guard.rs:"),
            "{error}"
        );
    }

    #[test]
    fn results_pass_through() {
        assert_eq!(guard(|| Ok(3)), Ok(3));
        assert_eq!(
            guard::<()>(|| Err(Error::invalid("no"))),
            Err(Error::invalid("no"))
        );
    }
}
