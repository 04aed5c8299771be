//! I4, I5 and I9: what was answered exists as it was requested, and nothing exists that was not requested.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use serde_json::Value;
use uuid::Uuid;

use crate::load::journal::Journal;
use crate::world::World;

/// Checks all three invariants.
pub(super) async fn check(world: &World, journal: &Journal) -> Result<()> {
    let found = transactions(world).await?;
    for row in found.values() {
        // Counted, so that a flow that the load no longer reaches does not pass as tested.
        world.tally.count(&format!("{} {}", row.flow, row.status), 1);
    }
    let keys = keys(world).await?;
    let outside = refunds_made_outside(world).await?;
    let book = journal.book();
    let mut lost = Vec::new();
    for (place, asked) in &book.asked {
        let (Some(answered), key) = (asked.answered, &place.1) else {
            continue;
        };
        match found.get(&answered) {
            None => lost.push(format!(
                "{} {answered} was answered for {key} and does not exist",
                asked.kind
            )),
            Some(row) => {
                let right = asked.cents.is_none_or(|cents| row.cents == cents)
                    && asked
                        .wallet
                        .is_none_or(|wallet| row.wallets.contains(&Some(wallet)))
                    && row.kind == asked.kind;
                if !right {
                    lost.push(format!(
                        "{} {answered} was asked for as {asked:?} and is {row:?}",
                        asked.kind
                    ));
                }
            }
        }
        if keys.get(place) != Some(&answered) {
            lost.push(format!(
                "{} {answered} was answered for {key}, which stands for {:?}",
                asked.kind,
                keys.get(place)
            ));
        }
    }
    world
        .tally
        .checked("I4 what was accepted exists as it was asked for", lost);
    world.tally.count(
        "accepted requests checked",
        u64::try_from(book.seen.len()).unwrap_or(0),
    );

    let refused = book
        .asked
        .iter()
        .filter(|(place, asked)| asked.refused.is_some() && keys.contains_key(*place))
        .map(|(place, asked)| {
            format!(
                "{} for {} was refused ({:?}) and exists",
                asked.kind, place.1, asked.refused
            )
        });
    world
        .tally
        .checked("I5 what was refused does not exist", refused.collect::<Vec<_>>());

    let named: HashSet<&Uuid> = keys.values().collect();
    let ghosts = keys
        .iter()
        .filter(|(place, _)| !book.asked.contains_key(*place))
        .map(|(place, id)| format!("{id} stands for {}, which nobody sent", place.1))
        .chain(
            found
                .iter()
                .filter(|(id, row)| !row.began_at_stripe(&outside) && !named.contains(id))
                .map(|(id, row)| format!("{} {id} has no request", row.flow)),
        );
    world
        .tally
        .checked("I5 no transaction without a request", ghosts.collect::<Vec<_>>());

    let turned = book.seen.iter().filter_map(|(id, seen)| {
        let end = seen.end.as_ref()?.to_lowercase();
        let row = found.get(id)?;
        (row.status != end).then(|| format!("{id} was seen as {end} and is {}", row.status))
    });
    world
        .tally
        .checked("I21 what is final stays", turned.collect::<Vec<_>>());
    Ok(())
}

/// Reads every transaction in the database.
async fn transactions(world: &World) -> Result<HashMap<Uuid, Row>> {
    let client = world.database.connect().await?;
    let rows = "SELECT id, user_id, wallet_id, counterparty_wallet_id, (100 * amount)::bigint, transaction_type::text, status::text,
                       coalesce(flow, transaction_type::text), stripe_refund_id FROM wallet_transactions";
    let row = |row: &tokio_postgres::Row| Row {
        wallets: [row.get(2), row.get(3)],
        cents: row.get(4),
        kind: row.get(5),
        status: row.get(6),
        flow: row.get(7),
        stripe_refund: row.get(8),
    };
    let rows = client.query(rows, &[]).await?;
    Ok(rows.iter().map(|found| (found.get(0), row(found))).collect())
}

/// Reads the transaction of every idempotency key.
async fn keys(world: &World) -> Result<HashMap<(Uuid, String), Uuid>> {
    let client = world.database.connect().await?;
    let kept = "SELECT user_id, key, transaction_id FROM idempotency_keys WHERE transaction_id IS NOT NULL";
    let rows = client.query(kept, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect())
}

/// Returns the refunds that were made at Stripe itself, not by this system.
async fn refunds_made_outside(world: &World) -> Result<HashSet<String>> {
    let mut outside = HashSet::new();
    for effect in world.stripe.effects().await? {
        let text = |name: &str| effect.get(name).and_then(Value::as_str);
        if let (Some("refund.create"), Some(id), None) =
            (text("operation"), text("object"), text("request_id"))
        {
            outside.insert(id.to_owned());
        }
    }
    Ok(outside)
}

#[derive(Debug)]
struct Row {
    wallets: [Option<Uuid>; 2],
    cents: i64,
    kind: String,
    status: String,
    flow: String,
    stripe_refund: Option<String>,
}

impl Row {
    /// Whether the transaction began with a report from Stripe, not with a request here; `outside`: the refunds that others made there.
    fn began_at_stripe(&self, outside: &HashSet<String>) -> bool {
        match self.flow.as_str() {
            "outside_refund" => self.stripe_refund.as_ref().is_some_and(|id| outside.contains(id)),
            "deposit_refund" | "payment_refund" => false,
            _ => self.kind == "refund",
        }
    }
}
