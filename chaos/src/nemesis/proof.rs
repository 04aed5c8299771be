//! Proof that a fault affected something: requests that a stalled server had not read, leases of a stopped worker, and the like.
//!
//! Each proof is cheap, and one that cannot be obtained (PostgreSQL may be away) proves nothing.

use std::collections::HashSet;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::programs::Program;
use crate::world::member::Member;
use crate::world::{Service, World};

/// How long a fault waits for something that it can affect.
const PATIENCE: Duration = Duration::from_secs(3);

/// Returns how many of our programs' requests the server at this port has not read; they came by the links that lead to `to`.
fn unread(world: &World, to: Service, port: u16) -> usize {
    let ours: HashSet<u16> = world
        .links(|service| service == to)
        .into_iter()
        .flat_map(|link| link.speaking())
        .collect();
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    sockets
        .lines()
        .filter_map(socket)
        .filter(|(local, remote, unread)| *local == port && *unread > 0 && ours.contains(remote))
        .count()
}

/// Parses a line of /proc/net/tcp: the socket's port, the other end's port, and how many bytes the program has not read.
fn socket(line: &str) -> Option<(u16, u16, u64)> {
    let mut words = line.split_whitespace().skip(1);
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let (local, remote) = (port(words.next()?)?, port(words.next()?)?);
    let queues = words.nth(1)?;
    Some((
        local,
        remote,
        u64::from_str_radix(queues.rsplit(':').next()?, 16).ok()?,
    ))
}

/// Waits for `time` while the servers at these ports do not read; returns for each the largest number of
/// requests waiting at once. Waits a little longer if one of them has received no request yet.
pub(super) async fn stalled(world: &World, servers: &[(Service, u16)], time: Duration) -> Vec<usize> {
    let mut most = vec![0; servers.len()];
    let start = Instant::now();
    while start.elapsed() < time || (most.contains(&0) && start.elapsed() < time + PATIENCE) {
        tokio::time::sleep(Duration::from_millis(25)).await;
        for (most, (to, port)) in most.iter_mut().zip(servers) {
            *most = (*most).max(unread(world, *to, *port));
        }
    }
    most
}

/// Stops a worker (SIGSTOP) that holds the lease of a job at that moment, if one can be found soon.
pub(super) async fn stop_at_work<'a>(
    world: &'a World,
    random: &mut ChaCha8Rng,
) -> Result<Option<&'a Member>> {
    let database = world.database.connect().await?;
    let held = "SELECT 1 FROM jobs WHERE lease_until > clock_timestamp() AND split_part(lease_owner, ':', 2) = $1 LIMIT 1";
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let mut workers = world.members(Program::Worker);
        workers.shuffle(random);
        for worker in workers {
            let Some(pid) = worker.pid().await else { continue };
            worker.signal(Signal::SIGSTOP).await;
            // The stopped worker cannot give its lease back, so what is found stays true until it continues.
            let found = database.query_opt(held, &[&pid.to_string()]).await;
            if matches!(found, Ok(Some(_))) {
                return Ok(Some(worker));
            }
            worker.signal(Signal::SIGCONT).await;
            found?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}

/// Stops a worker (SIGSTOP) that is in the middle of a check of the database, if one can be found soon.
pub(super) async fn stop_at_check(world: &World) -> Result<Option<&Member>> {
    let database = world.database.connect().await?;
    let checking = "SELECT client_port FROM pg_stat_activity
                     WHERE application_name = 'wallet-worker' AND state IN ('active', 'idle in transaction')
                       AND query LIKE 'SELECT count(*) OVER () AS total, coalesce(violation%'";
    let ports = async || -> Result<HashSet<u16>> {
        let rows = database.query(checking, &[]).await?;
        let ports = rows
            .iter()
            .filter_map(|row| u16::try_from(row.get::<_, i32>(0)).ok());
        Ok(ports.collect())
    };
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let seen = ports().await?;
        for worker in world.members(Program::Worker) {
            let sessions = || -> HashSet<u16> {
                let name = format!("{} to PostgreSQL", worker.name());
                let links = world.links(|service| service == Service::Database);
                let theirs = links.into_iter().filter(|link| link.name() == name);
                theirs.flat_map(|link| link.speaking()).collect()
            };
            if sessions().is_disjoint(&seen) {
                continue;
            }
            worker.signal(Signal::SIGSTOP).await;
            let still = ports().await;
            if matches!(&still, Ok(still) if !sessions().is_disjoint(still)) {
                return Ok(Some(worker));
            }
            worker.signal(Signal::SIGCONT).await;
            still?;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(None)
}

/// A log that is read from its current end on.
pub(super) struct Tail {
    log: PathBuf,
    from: u64,
}

impl Tail {
    /// Makes a tail that begins at the current end of the log.
    pub(super) fn of(log: &Path) -> Self {
        Self {
            log: log.to_owned(),
            from: std::fs::metadata(log).map_or(0, |found| found.len()),
        }
    }

    /// Returns how many of the new lines contain all of these texts.
    pub(super) fn lines(&self, texts: &[&str]) -> usize {
        let read = || -> std::io::Result<String> {
            let mut file = std::fs::File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_default();
        let has_all = |line: &&str| texts.iter().all(|text| line.contains(text));
        text.lines().filter(has_all).count()
    }

    /// Waits for a while until there is such a line; returns how many there are.
    pub(super) async fn wait(&self, texts: &[&str]) -> usize {
        let start = Instant::now();
        loop {
            let found = self.lines(texts);
            if found > 0 || start.elapsed() > PATIENCE {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_socket_has_not_read_is_told() {
        let line = "   1: 0100007F:1F90 0100007F:C350 01 00000000:0000002A 00:00000000 00000000  1000        0 12345 1";
        assert_eq!(socket(line), Some((8080, 50_000, 42)));
        assert_eq!(
            socket("  sl  local_address rem_address   st tx_queue rx_queue tr"),
            None
        );
    }
}
