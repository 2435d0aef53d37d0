//! Names to addresses without hanging: getaddrinfo cannot be interrupted, so a short-lived thread waits for it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::aside;
use super::down::{Down, State};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

/// A time-out shorter than this says more about our deadline than about the DNS.
const FAIR_CHANCE: Duration = Duration::from_secs(1);

/// An error when the DNS was silent about `host` within the time that this is `valid`. After that the caller is the one who asks.
pub fn worth_asking(host: &str, valid: Duration) -> Result<()> {
    let down = Down::name(host);
    match down.state(valid) {
        State::Unknown => Ok(()),
        State::Down(error) => Err(error.advice(CHECK_DNS)),
        State::Again(_) => {
            down.claim();
            Ok(())
        }
    }
}

const CHECK_DNS: &str = "check the node's DNS servers, or give an address in api_host";

/// The addresses of `host`; IPv4 first when wanted. Address literals need no look-up.
pub fn resolve(host: &str, port: u16, prefer_ipv4: bool, deadline: Deadline) -> Result<Vec<SocketAddr>> {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let started = Instant::now();
    let found = look_up(host, port, deadline);
    match &found {
        Err(error) if error.kind == Kind::Timeout && started.elapsed() >= FAIR_CHANCE => {
            Down::name(host).remember(error);
        }
        Err(error) if matches!(error.kind, Kind::Timeout | Kind::Interrupted) => {}
        _ => Down::name(host).forget(),
    }
    let mut addresses = found?;
    if prefer_ipv4 {
        addresses.sort_by_key(SocketAddr::is_ipv6);
    }
    if addresses.is_empty() {
        return Err(Error::new(
            Kind::Unreachable,
            format!("host name '{host}' has no address"),
        ));
    }
    Ok(addresses)
}

fn look_up(host: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>> {
    let name = (host.to_owned(), port);
    let found = aside::within(deadline, move || {
        name.to_socket_addrs().map(|all| all.collect::<Vec<_>>())
    })
    .map_err(|error| Error {
        cause: format!("look-up of '{host}': {}", error.cause),
        ..error
    })?;
    match found {
        None => Err(Error::new(
            Kind::Timeout,
            format!("no answer while resolving host name '{host}'"),
        )
        .advice(CHECK_DNS)),
        Some(Ok(addresses)) => Ok(addresses),
        Some(Err(cause)) => Err(
            Error::new(Kind::Unreachable, format!("host name '{host}': {cause}"))
                .advice("check api_host and the node's DNS"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_both_families_are_taken_as_they_are() {
        let deadline = Deadline::within(Duration::ZERO);
        assert_eq!(
            resolve("[::1]", 443, true, deadline).unwrap(),
            ["[::1]:443".parse().unwrap()]
        );
        assert_eq!(
            resolve("192.0.2.1", 80, true, deadline).unwrap(),
            ["192.0.2.1:80".parse().unwrap()]
        );
    }
}
