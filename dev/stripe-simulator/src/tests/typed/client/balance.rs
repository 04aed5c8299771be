//! Balances, their movements, and charges.

use chrono::{TimeDelta, Utc};
use wallet_core::stripe::{AccountId, BalanceTransactionQuery};

use super::*;

async fn top_up(stripe: &Fixture, amount: i64, currency: &str) {
    stripe
        .control(
            "balance/top_up",
            json!({ "amount": amount, "currency": currency }),
        )
        .await;
}

#[tokio::test]
async fn a_charge_shows_what_stripe_kept_of_it() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "fee_basis_points": 290, "fee_fixed": 30 }))
        .await;
    let client = client(&stripe);
    let payment = paid(&stripe, "pm_card_visa").await;
    let intent = client.retrieve_payment_intent(&payment).await.unwrap();
    let charge = client
        .retrieve_charge(&intent.latest_charge.unwrap())
        .await
        .unwrap();
    assert_eq!(charge.payment_intent, Some(payment));
    assert_eq!(charge.amount, money(1000, "usd"));
    let moved = charge.balance_transaction.unwrap();
    assert_eq!(
        (moved.amount, moved.fee, moved.net),
        (money(1000, "usd"), money(59, "usd"), money(941, "usd"))
    );
    assert_eq!(
        (moved.kind.as_str(), moved.source.as_deref()),
        ("charge", Some(charge.id.as_str()))
    );
    let alone = client.retrieve_balance_transaction(&moved.id).await.unwrap();
    assert_eq!((alone.id, alone.net), (moved.id, moved.net));
}

#[tokio::test]
async fn a_charge_that_failed_has_moved_nothing() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_chargeDeclined"),
        ("payment_method_types[]", "card"),
    ];
    let declined = stripe.post("/v1/payment_intents", &form).await;
    let charge = declined.body["error"]["payment_intent"]["latest_charge"]
        .as_str()
        .unwrap();
    let charge = client.retrieve_charge(&charge.parse().unwrap()).await.unwrap();
    assert!(charge.balance_transaction.is_none(), "{charge:?}");
}

#[tokio::test]
async fn a_balance_is_that_of_the_account_asked_for_and_may_be_negative() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    top_up(&stripe, 5_000, "usd").await;
    top_up(&stripe, 300, "jpy").await;
    // A currency that the wallet does not hold.
    top_up(&stripe, 700, "clp").await;
    let account = stripe.account().await;
    let form = [
        ("amount", "4000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    stripe.post("/v1/transfers", &form).await.ok();
    let payment = paid(&stripe, "pm_card_visa").await;
    stripe
        .control("disputes", json!({ "payment_intent": payment.as_str() }))
        .await;
    let platform = client.retrieve_balance(None).await.unwrap();
    assert_eq!(platform.available, [money(300, "jpy"), money(-500, "usd")]);
    assert_eq!(platform.pending, [money(0, "jpy"), money(0, "usd")]);
    let connected: AccountId = account.parse().unwrap();
    let connected = client.retrieve_balance(Some(&connected)).await.unwrap();
    assert_eq!(connected.available, [money(4000, "usd")]);
}

#[tokio::test]
async fn movements_are_listed_page_by_page_in_both_directions() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    for amount in 1..=120 {
        top_up(&stripe, amount, "usd").await;
    }
    let all = BalanceTransactionQuery::default();
    let newest = client.list_balance_transactions(&all).await.unwrap();
    assert_eq!((newest.transactions.len(), newest.has_more), (100, true));
    assert_eq!(newest.transactions[0].net, money(120, "usd"));
    let last = newest.transactions[99].id.clone();
    let older = BalanceTransactionQuery {
        older_than: Some(last),
        ..all.clone()
    };
    let oldest = client.list_balance_transactions(&older).await.unwrap();
    assert_eq!((oldest.transactions.len(), oldest.has_more), (20, false));
    assert_eq!(oldest.transactions[19].net, money(1, "usd"));
    let newer = BalanceTransactionQuery {
        newer_than: Some(oldest.transactions[19].id.clone()),
        ..all.clone()
    };
    let next = client.list_balance_transactions(&newer).await.unwrap();
    assert_eq!((next.transactions.len(), next.has_more), (100, true));
    assert_eq!(next.transactions[99].net, money(2, "usd"), "the next newer ones");
    let future = BalanceTransactionQuery {
        created_since: Some(Utc::now() + TimeDelta::hours(1)),
        ..all
    };
    let none = client.list_balance_transactions(&future).await.unwrap();
    assert!(none.transactions.is_empty() && !none.has_more);
}

#[tokio::test]
async fn movements_in_foreign_currencies_do_not_stop_their_reader() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    top_up(&stripe, 1, "usd").await;
    for _ in 0..105 {
        top_up(&stripe, 9, "clp").await;
    }
    let all = BalanceTransactionQuery::default();
    let page = client.list_balance_transactions(&all).await.unwrap();
    let found: Vec<Money> = page.transactions.iter().map(|row| row.net).collect();
    assert_eq!((found, page.has_more), (vec![money(1, "usd")], false));
    top_up(&stripe, 2, "usd").await;
    let newer = BalanceTransactionQuery {
        newer_than: Some(page.transactions[0].id.clone()),
        ..all
    };
    let page = client.list_balance_transactions(&newer).await.unwrap();
    let found: Vec<Money> = page.transactions.iter().map(|row| row.net).collect();
    assert_eq!((found, page.has_more), (vec![money(2, "usd")], false));
}

#[tokio::test]
async fn the_movements_of_a_connected_account_are_its_own() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    top_up(&stripe, 5_000, "usd").await;
    let account = stripe.account().await;
    let form = [
        ("amount", "4000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    stripe.post("/v1/transfers", &form).await.ok();
    let query = BalanceTransactionQuery {
        account: Some(account.parse().unwrap()),
        ..BalanceTransactionQuery::default()
    };
    let page = client.list_balance_transactions(&query).await.unwrap();
    let [came] = page.transactions.as_slice() else {
        panic!("{page:?}");
    };
    assert_eq!((came.kind.as_str(), came.net), ("payment", money(4000, "usd")));
    let own = BalanceTransactionQuery::default();
    let own = client.list_balance_transactions(&own).await.unwrap();
    let kinds: Vec<String> = own.transactions.into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["transfer", "topup"]);
}
