//! Who did not answer, remembered for all processes of the node: nobody waits for the same silence again. A cache: a file that is
//! unreadable, torn or another version's is absent, and where none can be written nothing is lost but time.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{clock, file, paths};
use crate::error::{Error, Kind};

/// What one connection attempt tells is asked again after this.
pub const REMEMBERED: Duration = Duration::from_secs(15);
/// What only a full wait tells (is the name resolved again, does TLS, the login, the query come through again): a status round
/// waits up to 3 s for it, and one in twenty seconds is what the other storages of the node can spare. Whoever gets an answer
/// earlier, a command for one, ends it.
pub const RARELY: Duration = Duration::from_secs(60);
/// A connection attempt to who was down a moment ago; one that takes longer is left under way (`sys::knock`).
pub const AGAIN: Duration = Duration::from_millis(50);
/// After so long nobody has been asking: nothing is known.
const A_MOMENT_AGO: Duration = Duration::from_secs(600);

pub struct Down {
    path: PathBuf,
    port: u16,
}

#[derive(Debug)]
pub enum State {
    /// Nothing speaks against trying.
    Unknown,
    /// Not to be tried now, and why.
    Down(Error),
    /// Was down a moment ago. Whoever finds this claims it and tries; the others go on with the error.
    Again(Error),
}

impl Down {
    fn of(name: String, port: u16) -> Self {
        let path = paths::run_dir().join("host").join(name);
        Self { path, port }
    }

    /// The API at an address. One port is remembered of each: another may be a mistake in storage.cfg.
    pub fn nas(address: SocketAddr) -> Self {
        Self::of(Self::file_of(address.ip()), address.port())
    }

    fn file_of(address: IpAddr) -> String {
        format!("{address}.down")
    }

    /// A data portal.
    pub fn portal(address: SocketAddr) -> Self {
        Self::of(format!("{address}.down"), address.port())
    }

    /// The look-up of a host name; a silent DNS server is so for every port.
    pub fn name(host: &str) -> Self {
        Self::of(format!("{host}.down"), 0)
    }

    /// The API of a host that takes connections and then says nothing.
    pub fn service(host: &str, port: u16) -> Self {
        Self::of(format!("{host}.silent"), port)
    }

    pub fn state(&self, valid: Duration) -> State {
        self.read(valid).unwrap_or(State::Unknown)
    }

    fn read(&self, valid: Duration) -> Option<State> {
        let content = fs::read_to_string(&self.path).ok()?;
        let (when, cause) = content.split_once('\n')?;
        let mut words = when.split(' ');
        let since: u64 = words.next()?.parse().ok()?;
        let age = Duration::from_millis(clock::boot_millis().checked_sub(since)?);
        if words.next()?.parse() != Ok(self.port) || age > A_MOMENT_AGO {
            return None;
        }
        let when = match words.next() {
            Some(_) => "being tried again".to_owned(),
            None => format!("{} s ago; tried again after {} s", age.as_secs(), valid.as_secs()),
        };
        let error = Error::new(Kind::Unreachable, format!("{} ({when})", cause.trim()));
        Some(match age < valid {
            true => State::Down(error),
            false => State::Again(error),
        })
    }

    /// From now on the others are answered at once, until the caller knows more.
    pub fn claim(&self) {
        let content = fs::read_to_string(&self.path).unwrap_or_default();
        let cause = content.split_once('\n').map_or("", |(_, cause)| cause);
        self.write(" again", cause.trim());
    }

    pub fn remember(&self, error: &Error) {
        self.write("", &error.cause.replace('\n', " "));
    }

    fn write(&self, mark: &str, cause: &str) {
        let content = format!("{} {}{mark}\n{cause}\n", clock::boot_millis(), self.port);
        if let Some(folder) = self.path.parent() {
            let _only_a_cache =
                file::private_dir(folder).and_then(|()| file::replace(&self.path, content.as_bytes()));
        }
    }

    pub fn forget(&self) {
        let _was_not_down = fs::remove_file(&self.path);
    }
}
