//! TCP ports on the loopback address: the usual one if it is free, otherwise any free one, so that several stacks can run side by side.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use rand::Rng as _;

/// Below the kernel's range for outgoing connections, so that none of those takes a port between the check and its use.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// The ports that this program has handed out, none of them twice.
static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// Returns a port on which no program listens and which this program has not handed out before.
///
/// # Errors
/// When a thousand random tries find none.
pub fn free() -> Result<u16> {
    let mut random = rand::rng();
    for _ in 0..1000 {
        let port = random.random_range(RANGE);
        if claim(port) {
            return Ok(port);
        }
    }
    bail!("found no free port between {} and {}", RANGE.start, RANGE.end)
}

/// Returns `port` if it is free, otherwise a free one.
///
/// # Errors
/// As [`free`].
pub fn prefer(port: u16) -> Result<u16> {
    if claim(port) { Ok(port) } else { free() }
}

/// Returns exactly `port` if it is given; otherwise `usual`, or any free one if that is taken.
///
/// # Errors
/// When the given port is in use; as [`free`].
pub fn asked_for(port: Option<u16>, usual: u16) -> Result<u16> {
    let Some(port) = port else { return prefer(usual) };
    if !claim(port) {
        bail!("port {port} is in use; name another, or none to have a free one taken");
    }
    Ok(port)
}

fn claim(port: u16) -> bool {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_with(HashSet::new);
    if taken.contains(&port) || !is_free(port) {
        return false;
    }
    taken.insert(port);
    true
}

fn is_free(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // Connecting also finds a listener on all addresses, beside which some systems let us bind.
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err()
        && TcpListener::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_replaced_by_a_free_one() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let held = holder.local_addr().unwrap().port();
        let other = prefer(held).unwrap();
        assert_ne!(other, held);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, other)).is_ok());
    }

    #[test]
    fn a_port_that_was_asked_for_is_never_another() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let held = holder.local_addr().unwrap().port();
        let refused = asked_for(Some(held), held).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("port {held} is in use")),
            "{refused}"
        );
        assert_ne!(asked_for(None, held).unwrap(), held, "the usual one may move");
        let free = free().unwrap();
        assert!(asked_for(Some(free), held).is_err(), "it was handed out before");
    }

    #[test]
    fn no_port_is_handed_out_twice() {
        let first = free().unwrap();
        assert_ne!(prefer(first).unwrap(), first);
    }
}
