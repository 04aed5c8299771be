//! What the ledger and the transactions contain, all of it read in one snapshot.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Array, Bool, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::own;
use crate::db::{Db, DbError, PgConn, in_transaction, sql};
use crate::ids::TransactionId;
use crate::money::Currency;

/// The ledger at one moment.
pub(super) struct LedgerSnapshot {
    /// What each transaction of the period, and each for which Stripe moved something, has booked on the platform's balance.
    pub(super) booked: HashMap<(TransactionId, Currency), Booked>,
    /// The state of these transactions.
    pub(super) standing: HashMap<TransactionId, Standing>,
    /// The standing sums: of all time, for each currency.
    pub(super) sums: Vec<Sums>,
    /// What connected accounts should hold, and how much of it may be under way.
    pub(super) in_transit: InTransits,
}

/// The entries of a transaction, with the signs that Stripe would give them.
#[derive(Debug, Clone)]
pub(super) struct Booked {
    /// The change of the balance: −Σ `stripe:clearing`.
    pub(super) net: Decimal,
    /// Stripe's fee in it: −Σ `stripe:fees`.
    pub(super) fee: Decimal,
    /// When the newest entry was written.
    pub(super) last: DateTime<Utc>,
}

/// The state of a transaction.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) stage: String,
    pub(super) is_open: bool,
    pub(super) has_fee_job: bool,
    pub(super) changed_at: DateTime<Utc>,
    pub(super) began_before: bool,
}

/// The sums of a currency.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    pub(super) currency: Currency,
    pub(super) clearing: Decimal,
    pub(super) in_transit: Decimal,
    pub(super) all: Decimal,
    pub(super) own: Decimal,
    /// What of `own` moved into a reserve of Stripe's, and back: negative.
    pub(super) reserved: Decimal,
}

/// What a connected account should hold.
#[derive(Debug, Clone)]
pub(super) struct InTransit {
    pub(super) amount: Decimal,
    /// The sum of the transactions that are open there: Stripe can be ahead of their entries, or behind, by no more than this.
    pub(super) open: Decimal,
    /// The sum of all amounts ever booked there, without signs: it only grows, by what is booked between two reads.
    pub(super) turnover: Decimal,
    pub(super) last: DateTime<Utc>,
}

/// What connected accounts should hold, by account and currency.
pub(super) type InTransits = HashMap<(String, Currency), InTransit>;

#[derive(QueryableByName)]
struct BookedRow {
    #[diesel(sql_type = SqlUuid)]
    transaction_id: Uuid,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Numeric)]
    net: Decimal,
    #[diesel(sql_type = Numeric)]
    fee: Decimal,
    #[diesel(sql_type = Timestamptz)]
    last: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct StandingRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    stage: String,
    #[diesel(sql_type = Bool)]
    is_open: bool,
    #[diesel(sql_type = Bool)]
    has_fee_job: bool,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    began_before: bool,
}

#[derive(QueryableByName)]
struct SumsRow {
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Numeric)]
    clearing: Decimal,
    #[diesel(sql_type = Numeric)]
    in_transit: Decimal,
    #[diesel(sql_type = Numeric)]
    total: Decimal,
    #[diesel(sql_type = Numeric)]
    own: Decimal,
    #[diesel(sql_type = Numeric)]
    reserved: Decimal,
}

#[derive(QueryableByName)]
struct InTransitRow {
    #[diesel(sql_type = Nullable<Text>)]
    account: Option<String>,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Numeric)]
    amount: Decimal,
    #[diesel(sql_type = Numeric)]
    open: Decimal,
    #[diesel(sql_type = Numeric)]
    turnover: Decimal,
    #[diesel(sql_type = Timestamptz)]
    last: DateTime<Utc>,
}

/// Reads the snapshot. `known` are the transactions for which Stripe moved something since `since`; of others, entries after `now` are ignored,
/// since what Stripe moved for them has not been read.
pub(super) async fn read(
    db: &Db,
    known: &[TransactionId],
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<LedgerSnapshot, DbError> {
    let reports = db.for_reports();
    in_transaction!(reports, conn => {
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(conn).await?;
        let booked = booked(conn, known, since, now).await?;
        let mut ids: Vec<Uuid> = booked.keys().map(|(id, _)| id.uuid()).chain(known.iter().map(|id| id.uuid())).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(LedgerSnapshot {
            standing: standing(conn, &ids, since).await?,
            booked,
            sums: sums(conn, known, now).await?,
            in_transit: in_transit(conn).await?,
        })
    })
}

async fn booked(
    conn: &mut PgConn,
    known: &[TransactionId],
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<HashMap<(TransactionId, Currency), Booked>, DbError> {
    // All of a transaction that began in the period; of an older one, what was booked in the period.
    let rows: Vec<BookedRow> = sql(
        "SELECT transaction_id, currency,
                coalesce(-sum(amount) FILTER (WHERE account = 'stripe:clearing'), 0) AS net,
                coalesce(-sum(amount) FILTER (WHERE account = 'stripe:fees'), 0) AS fee, max(created_at) AS last
           FROM ledger_entries
          WHERE wallet_id IS NULL AND account IN ('stripe:clearing', 'stripe:fees') AND (created_at <= $3 OR transaction_id = ANY($1))
            AND (transaction_id >= lowest_uuid_at($2) OR (transaction_id = ANY($1) AND created_at >= $2))
          GROUP BY transaction_id, currency",
    )
    .bind::<Array<SqlUuid>, _>(known.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .bind::<Timestamptz, _>(since)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?;
    let mut booked = HashMap::with_capacity(rows.len());
    for row in rows {
        let key = (
            TransactionId::from_uuid(row.transaction_id),
            currency(&row.currency)?,
        );
        let of = Booked {
            net: row.net,
            fee: row.fee,
            last: row.last,
        };
        booked.insert(key, of);
    }
    Ok(booked)
}

async fn standing(
    conn: &mut PgConn,
    ids: &[Uuid],
    since: DateTime<Utc>,
) -> Result<HashMap<TransactionId, Standing>, DbError> {
    let rows: Vec<StandingRow> = sql(
        "SELECT t.id, t.stage, t.status IN ('pending', 'processing') AS is_open, t.id < lowest_uuid_at($2) AS began_before,
                GREATEST(t.updated_at, (SELECT max(e.created_at) FROM ledger_entries e WHERE e.transaction_id = t.id)) AS updated_at,
                EXISTS (SELECT 1 FROM jobs j WHERE j.transaction_id = t.id AND j.kind = 'deposit_fee' AND j.parked_at IS NULL) AS has_fee_job
           FROM wallet_transactions t WHERE t.id = ANY($1)",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Timestamptz, _>(since)
    .load(conn)
    .await?;
    let of = |row: StandingRow| {
        let standing = Standing {
            stage: row.stage,
            is_open: row.is_open,
            has_fee_job: row.has_fee_job,
            changed_at: row.updated_at,
            began_before: row.began_before,
        };
        (TransactionId::from_uuid(row.id), standing)
    };
    Ok(rows.into_iter().map(of).collect())
}

async fn sums(conn: &mut PgConn, known: &[TransactionId], now: DateTime<Utc>) -> Result<Vec<Sums>, DbError> {
    let rows: Vec<SumsRow> = sql(
        "SELECT currency, coalesce(e.clearing, 0) AS clearing, coalesce(e.in_transit, 0) AS in_transit, coalesce(e.total, 0) AS total,
                coalesce(o.own, 0) AS own, coalesce(o.reserved, 0) AS reserved
           FROM (SELECT currency, -sum(amount) FILTER (WHERE account = 'stripe:clearing'
                                                 AND (created_at <= $1 OR transaction_id = ANY($2))) AS clearing,
                        -sum(amount) FILTER (WHERE account = 'stripe:in_transit') AS in_transit, sum(amount) AS total
                   FROM ledger_entries GROUP BY currency) e
           FULL JOIN (SELECT currency, sum(net) AS own, sum(net) FILTER (WHERE kind = ANY($3)) AS reserved
                        FROM platform_movements GROUP BY currency) o USING (currency)",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Array<SqlUuid>, _>(known.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(own::RESERVES.as_slice())
    .load(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Sums {
                currency: currency(&row.currency)?,
                clearing: row.clearing,
                in_transit: row.in_transit,
                all: row.total,
                own: row.own,
                reserved: row.reserved,
            })
        })
        .collect()
}

/// Reads what connected accounts should hold at this moment.
pub(super) async fn read_in_transit(db: &Db) -> Result<InTransits, DbError> {
    let reports = db.for_reports();
    in_transaction!(reports, conn => {
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(conn).await?;
        in_transit(conn).await
    })
}

async fn in_transit(conn: &mut PgConn) -> Result<InTransits, DbError> {
    // A returned payout relates to the withdrawal to whose account it came back. What is open counts before its first entry as well: Stripe
    // may have made the transfer already.
    let rows: Vec<InTransitRow> = sql(
        "SELECT account, currency, sum(amount) AS amount, sum(open) AS open, sum(turnover) AS turnover, max(last) AS last
           FROM (SELECT coalesce(t.stripe_account_id, o.stripe_account_id) AS account, e.currency, -sum(e.amount) AS amount,
                        0::numeric AS open, sum(abs(e.amount)) AS turnover, max(e.created_at) AS last
                   FROM ledger_entries e JOIN wallet_transactions t ON t.id = e.transaction_id
                   LEFT JOIN wallet_transactions o ON o.id = t.related_transaction_id
                  WHERE e.account = 'stripe:in_transit' AND e.wallet_id IS NULL GROUP BY 1, 2
                 UNION ALL
                 SELECT coalesce(t.stripe_account_id, o.stripe_account_id), t.currency, 0, sum(t.amount), 0, max(t.updated_at)
                   FROM wallet_transactions t LEFT JOIN wallet_transactions o ON o.id = t.related_transaction_id
                  WHERE t.status IN ('pending', 'processing') AND coalesce(t.stripe_account_id, o.stripe_account_id) IS NOT NULL
                  GROUP BY 1, 2) each
          GROUP BY 1, 2",
    )
    .load(conn)
    .await?;
    let mut in_transit = HashMap::with_capacity(rows.len());
    for row in rows {
        let key = (row.account.unwrap_or_default(), currency(&row.currency)?);
        let of = InTransit {
            amount: row.amount,
            open: row.open,
            turnover: row.turnover,
            last: row.last,
        };
        in_transit.insert(key, of);
    }
    Ok(in_transit)
}

fn currency(code: &str) -> Result<Currency, DbError> {
    code.parse()
        .map_err(|_| DbError::inconsistent("ledger_entries", "currency", code))
}
