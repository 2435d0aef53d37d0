//! Why ZFS does not do something with a snapshot, and what each face of the API makes of it (truenas-api.md §5.2).

use crate::errno;
use crate::failure::Failure;
use crate::nas::Caller;
use crate::versions::Line;

pub struct Trouble {
    pub errno: i64,
    /// As the zfs program and libzfs say it.
    pub before_26: String,
    pub since_26: String,
    /// Whether zfs.resource.snapshot.* makes a validation error of it.
    caught: bool,
}

impl Trouble {
    pub fn new(errno: i64, before_26: impl Into<String>, since_26: impl Into<String>) -> Self {
        Self {
            errno,
            before_26: before_26.into(),
            since_26: since_26.into(),
            caught: true,
        }
    }

    pub fn missing(name: &str) -> Self {
        let before_26 = format!("cannot open '{name}': dataset does not exist");
        Self::new(errno::ENOENT, before_26, format!("'{name}' not found"))
    }

    /// `doing` as ZFS says it: "cannot create 'tank/x'".
    pub fn exists(doing: &str, name: &str) -> Self {
        let before_26 = format!("{doing}: dataset already exists");
        Self::new(errno::EEXIST, before_26, format!("'{name}' already exists"))
    }

    pub fn busy(before_26: String, since_26: String) -> Self {
        Self {
            caught: false,
            ..Self::new(errno::EBUSY, before_26, since_26)
        }
    }

    /// Anything that no version has a text of its own for.
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            caught: false,
            ..Self::new(errno::EINVAL, text.clone(), text)
        }
    }

    /// pool.snapshot.*: 26 lets most of it through, and an unforeseen exception is EINVAL (truenas-api.md §1.3).
    pub fn of_pool(self, caller: &Caller, doing: &str) -> Failure {
        if caller.line < Line::V26 {
            return Failure::call(errno::EFAULT, format!("Failed to {doing}: {}", self.before_26));
        }
        let number = if self.errno == errno::EBUSY {
            self.errno
        } else {
            errno::EINVAL
        };
        Failure::call(number, self.since_26)
    }

    pub fn of_resource(self, method: &str) -> Failure {
        if self.caught {
            Failure::complaint(method, self.since_26, self.errno)
        } else {
            Failure::call(self.errno, self.since_26)
        }
    }
}
