//! `/v1/balance` and `/v1/balance_transactions`, and the one function that changes a balance.

use serde_json::{Value, json};

use super::{Answer, Call, Route, allow_list};
use crate::effects::NewEffect;
use crate::money::Currency;
use crate::objects::{
    BalanceTransaction, BalanceType, Funds, GroupBy, Id, Owner, TransactionKind, fixture, group, random_id,
    shape,
};
use crate::state::{Origin, State, Timer};

pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/balance", "balance.retrieve", retrieve),
    Route::get("/v1/balance_transactions", "balance_transactions.list", list),
    Route::get(
        "/v1/balance_transactions/{}",
        "balance_transactions.retrieve",
        super::retrieve::<BalanceTransaction>,
    ),
    // The names of these two before 2018, which official libraries of that time still use.
    Route::get("/v1/balance/history", "balance_transactions.list", list),
    Route::get(
        "/v1/balance/history/{}",
        "balance_transactions.retrieve",
        super::retrieve::<BalanceTransaction>,
    ),
];

fixture!(BALANCE, "balance");

fn retrieve(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    Ok(render(state, &call.owner))
}

/// Renders an account's balance in Stripe's JSON.
pub(crate) fn render(state: &State, owner: &Owner) -> Value {
    let mut funds: Vec<(Currency, Funds)> = state
        .funds
        .iter()
        .filter(|((of, _), _)| of == owner)
        .map(|((_, currency), funds)| (*currency, *funds))
        .collect();
    if funds.is_empty() {
        funds.extend(Currency::parse("usd").ok().map(|usd| (usd, Funds::default())));
    }
    funds.sort_unstable_by_key(|(currency, _)| currency.code());
    let amounts = |pick: fn(&Funds) -> i64| -> Vec<Value> {
        let amount = |(currency, funds): &(Currency, Funds)| {
            let amount = pick(funds);
            json!({ "amount": amount, "currency": currency, "source_types": { "card": amount } })
        };
        funds.iter().map(amount).collect()
    };
    shape(
        &BALANCE,
        json!({
            "available": amounts(|funds| funds.available),
            "pending": amounts(|funds| funds.pending),
            "connect_reserved": amounts(|funds| funds.reserved),
        }),
    )
}

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["type", "source", "currency"])?;
    let params = &call.params;
    let (kind, source, currency) = (
        params.text("type"),
        params.text("source"),
        params.text("currency"),
    );
    let by = source.map(|source| group(GroupBy::Source, source));
    state.list(
        &call.owner,
        params,
        "/v1/balance_transactions",
        by,
        |row: &BalanceTransaction| {
            kind.is_none_or(|kind| kind == row.kind.name())
                && currency.is_none_or(|code| row.currency.code().eq_ignore_ascii_case(code))
        },
    )
}

/// A change of a balance that is to be made.
#[derive(Debug)]
pub(crate) struct Posting<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) kind: TransactionKind,
    /// Signed, in minor units, before the fee.
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) currency: Currency,
    /// The object that explains it.
    pub(crate) source: &'a str,
    pub(crate) description: Option<String>,
    /// How long the money is pending, in milliseconds; 0 = available at once.
    pub(crate) pending_ms: u64,
}

/// The pending time of money that stays pending until the state changes otherwise.
pub(crate) const UNTIL_SETTLED: u64 = u64::MAX;

/// Converts an amount of the platform's to the currency in which it is held; the flag is whether it was converted.
pub(crate) fn settled(
    state: &State,
    owner: &Owner,
    amount: i64,
    currency: Currency,
) -> (i64, Currency, bool) {
    let settings = &state.settings;
    let default = settings
        .settlement_currencies
        .first()
        .filter(|_| *owner == Owner::Platform)
        .and_then(|code| Currency::parse(code).ok());
    let is_held = |code: &String| code.eq_ignore_ascii_case(currency.code());
    match default {
        Some(default) if !settings.settlement_currencies.iter().any(is_held) => {
            let converted = amount
                .saturating_mul(settings.exchange_rate.into())
                .div_euclid(10_000);
            (converted, default, true)
        }
        _ => (amount, currency, false),
    }
}

/// Changes a balance and records why. Nothing else changes balances.
pub(crate) fn post(state: &mut State, mut posting: Posting<'_>) -> Id<BalanceTransaction> {
    let now = state.now();
    let (amount, currency, is_converted) = settled(state, posting.owner, posting.amount, posting.currency);
    (posting.fee, _, _) = settled(state, posting.owner, posting.fee, posting.currency);
    (posting.amount, posting.currency) = (amount, currency);
    let transaction = BalanceTransaction {
        exchange_rate: is_converted.then_some(state.settings.exchange_rate),
        id: Id::generate(),
        owner: posting.owner.clone(),
        created: now,
        kind: posting.kind,
        amount: posting.amount,
        fee: posting.fee,
        currency: posting.currency,
        available_on: now.plus_millis(if posting.pending_ms == UNTIL_SETTLED {
            state
                .settings
                .bank_debit_ms
                .saturating_add(state.settings.bank_pending_ms)
        } else {
            posting.pending_ms
        }),
        available: posting.pending_ms == 0,
        source: Some(posting.source.to_owned()),
        description: posting.description,
        balance_type: BalanceType::Payments,
    };
    let (id, net) = (transaction.id.clone(), transaction.net());
    let funds = state
        .funds
        .entry((posting.owner.clone(), posting.currency))
        .or_default();
    if transaction.available {
        funds.available += net;
    } else {
        funds.pending += net;
        if posting.pending_ms != UNTIL_SETTLED {
            state.plan(posting.pending_ms, Timer::Mature(id.clone()));
        }
    }
    state.balance_transactions.insert(transaction);
    retry_refunds_if_money_came(state, net);
    id
}

/// Makes pending money available.
pub(crate) fn mature(state: &mut State, id: &Id<BalanceTransaction>) {
    let Some(row) = state
        .balance_transactions
        .get_mut(id.as_str())
        .filter(|row| !row.available)
    else {
        return;
    };
    row.available = true;
    let (owner, currency, net) = (row.owner.clone(), row.currency, row.net());
    let funds = state.funds.entry((owner.clone(), currency)).or_default();
    funds.pending -= net;
    funds.available += net;
    let rendered = render(state, &owner);
    state.emit(&Origin::default(), &owner, "balance.available", &rendered, None);
    retry_refunds_if_money_came(state, net);
}

fn retry_refunds_if_money_came(state: &mut State, net: i64) {
    if net > 0 && !state.waiting_refunds.is_empty() {
        state.plan(0, Timer::RetryRefunds);
    }
}

/// Returns what an account can spend now, in minor units.
pub(crate) fn available(state: &State, owner: &Owner, currency: Currency) -> i64 {
    state
        .funds
        .get(&(owner.clone(), currency))
        .map_or(0, |funds| funds.available)
}

/// Holds back part of a balance as a security, at a test's request; a negative amount is released. Two movements show it, one of
/// each balance (<https://docs.stripe.com/changelog/clover/2026-01-28/monitor-reserve-activity-on-balance-transactions>).
pub(crate) fn keep_back(state: &mut State, owner: &Owner, amount: i64, currency: Currency) -> Value {
    let kind = if amount < 0 {
        TransactionKind::ReserveRelease
    } else {
        TransactionKind::ReserveHold
    };
    let source = random_id(if amount < 0 { "resrel_" } else { "reshold_" });
    let posting = Posting {
        owner,
        kind,
        amount: -amount,
        fee: 0,
        currency,
        source: &source,
        description: None,
        pending_ms: 0,
    };
    let id = post(state, posting);
    let beside = state
        .balance_transactions
        .get(id.as_str())
        .map(|moved| BalanceTransaction {
            id: Id::generate(),
            amount,
            balance_type: BalanceType::RiskReserved,
            ..moved.clone()
        });
    if let Some(beside) = beside {
        state.balance_transactions.insert(beside);
    }
    let effect = NewEffect {
        operation: "balance.keep_back",
        object: &source,
        amount: Some((amount, currency)),
        account: owner.account(),
        ..NewEffect::default()
    };
    state.log_effect(&Origin::default(), effect.changing(owner, -amount));
    state.rendered(&id)
}

/// Adds money from outside to a balance, at a test's request.
pub(crate) fn top_up(state: &mut State, owner: &Owner, amount: i64, currency: Currency) -> Value {
    let source = random_id("tu_");
    let posting = Posting {
        owner,
        kind: TransactionKind::Topup,
        amount,
        fee: 0,
        currency,
        source: &source,
        description: Some("Top-up".to_owned()),
        pending_ms: 0,
    };
    let id = post(state, posting);
    let effect = NewEffect {
        operation: "balance.top_up",
        object: &source,
        amount: Some((amount, currency)),
        account: owner.account(),
        ..NewEffect::default()
    };
    state.log_effect(&Origin::default(), effect.changing(owner, amount));
    state.rendered(&id)
}
