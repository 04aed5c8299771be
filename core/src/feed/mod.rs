//! Notifications of committed changes, from the process that made them to every process in which they are watched.
//!
//! An [`Announcer`] uses `NOTIFY` to announce which transactions and wallets have changed; a [`Feed`] receives this by `LISTEN` and wakes
//! the readers that watch them ([`Watchlist`]). Only ids are sent: a reader that is woken reads the row. An announcement may be lost
//! (a process that died right after its commit, a connection that broke), so readers also check by themselves, at long intervals.
//!
//! <https://www.postgresql.org/docs/15/sql-notify.html>. PostgreSQL serialises the commits of notifying transactions by a lock
//! over the whole server, so an announcement is never part of a transaction that carries money.

mod announcer;
mod hub;
mod listener;

pub use announcer::Announcer;
pub use hub::Watchlist;
pub use listener::Feed;

use uuid::Uuid;

/// The number of ids per payload: each takes 32 digits and a space, and a payload must be shorter than 8000 bytes.
const IDS_OF_A_PAYLOAD: usize = 200;

/// The payloads that name these ids.
fn payloads(ids: &[Uuid]) -> Vec<String> {
    ids.chunks(IDS_OF_A_PAYLOAD)
        .map(|ids| {
            let ids: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
            ids.join(" ")
        })
        .collect()
}

/// Returns the ids that a payload names. Anything else in it was sent by another program and is skipped.
fn ids_of(payload: &str) -> impl Iterator<Item = Uuid> {
    payload.split(' ').filter_map(|id| Uuid::try_parse(id).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_ids_fits_into_payloads_that_postgresql_takes() {
        for count in [0_u128, 1, 199, 200, 201, 1_500] {
            let ids: Vec<Uuid> = (0..count).map(|n| Uuid::from_u128(u128::MAX - n)).collect();
            let payloads = payloads(&ids);
            assert!(payloads.iter().all(|payload| payload.len() < 8_000), "{count}");
            let read: Vec<Uuid> = payloads.iter().flat_map(|payload| ids_of(payload)).collect();
            assert_eq!(read, ids);
        }
    }

    #[test]
    fn foreign_payloads_name_nothing() {
        assert_eq!(ids_of("").count(), 0);
        assert_eq!(ids_of("refresh everything").count(), 0);
    }
}
