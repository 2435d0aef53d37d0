//! The server's error numbers: POSIX's and the private ones above 200 (truenas-api.md §1.3).

pub const EPERM: i64 = 1;
pub const ENOENT: i64 = 2;
pub const EACCES: i64 = 13;
pub const EFAULT: i64 = 14;
pub const EBUSY: i64 = 16;
pub const EEXIST: i64 = 17;
pub const EINVAL: i64 = 22;
pub const ENOTEMPTY: i64 = 39;
pub const EBADMSG: i64 = 74;
pub const EOPNOTSUPP: i64 = 95;
pub const ENOMETHOD: i64 = 201;
pub const ENOTAUTHENTICATED: i64 = 207;

const NAMES: &[(i64, &str)] = &[
    (EPERM, "EPERM"),
    (ENOENT, "ENOENT"),
    (4, "EINTR"),
    (5, "EIO"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (EACCES, "EACCES"),
    (EFAULT, "EFAULT"),
    (EBUSY, "EBUSY"),
    (EEXIST, "EEXIST"),
    (EINVAL, "EINVAL"),
    (28, "ENOSPC"),
    (30, "EROFS"),
    (34, "ERANGE"),
    (ENOTEMPTY, "ENOTEMPTY"),
    (EBADMSG, "EBADMSG"),
    (EOPNOTSUPP, "EOPNOTSUPP"),
    (104, "ECONNRESET"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (122, "EDQUOT"),
    (ENOMETHOD, "ENOMETHOD"),
    (202, "ESERVICESTARTFAILURE"),
    (203, "EALERTCHECKERUNAVAILABLE"),
    (204, "EREMOTENODEERROR"),
    (205, "EDATASETISLOCKED"),
    (206, "EINVALIDRRDTIMESTAMP"),
    (ENOTAUTHENTICATED, "ENOTAUTHENTICATED"),
    (208, "ESSLCERTVERIFICATIONERROR"),
    (209, "EREBOOTREQUIRED"),
    (210, "EHAUNAVAILABLE"),
];

pub fn name(errno: i64) -> &'static str {
    NAMES
        .iter()
        .find(|(n, _)| *n == errno)
        .map_or("EUNKNOWN", |(_, name)| name)
}

pub fn number(name: &str) -> Option<i64> {
    NAMES.iter().find(|(_, n)| *n == name).map(|(n, _)| *n)
}
