//! Creates people with wallets that hold money, without the requests that would bring it there.

use serde_json::json;
use uuid::Uuid;
use wallet_core::money::Currency;

use super::{TestApp, uuid};
use crate::User;

impl TestApp {
    /// A new person with a wallet in US dollars that holds so many cents.
    pub async fn owner(&self, funds: i64) -> (User, String) {
        let user = User::new();
        let wallet = self.wallet(&user, json!({})).await;
        if funds > 0 {
            self.plant(&wallet, funds).await;
        }
        (user, wallet)
    }

    /// The same, with a connected account that can be paid.
    pub async fn payee(&self, funds: i64) -> (User, String) {
        let user = User::new();
        let account = self.stripe.account(user.id).await;
        let wallet = self.wallet(&user, json!({ "stripeAccountId": account })).await;
        if funds > 0 {
            self.plant(&wallet, funds).await;
        }
        (user, wallet)
    }

    /// Puts so many minor units into a wallet in one database transaction, and the same at Stripe: as after a deposit, only quicker.
    ///
    /// # Panics
    /// If PostgreSQL refuses.
    pub async fn plant(&self, wallet: &str, funds: i64) {
        let currency = self.plant_unbacked(wallet, funds).await;
        self.top_up_in(currency, funds).await;
    }

    /// The same without the money at Stripe, for amounts that Stripe would not take at once. Returns the wallet's currency.
    ///
    /// # Panics
    /// If PostgreSQL refuses.
    pub async fn plant_unbacked(&self, wallet: &str, funds: i64) -> Currency {
        let currency = "SELECT currency FROM wallets WHERE id = $1";
        let currency: String = self.db.value(currency, &[&uuid(wallet)]).await;
        let currency: Currency = currency.parse().unwrap();
        let sql = "WITH w AS (SELECT id, user_id, currency FROM wallets WHERE id = $1),
                        t AS (INSERT INTO wallet_transactions (id, wallet_id, user_id, transaction_type, status, stage, amount, currency, reference)
                              SELECT $2, id, user_id, 'deposit', 'completed', 'completed', $3::bigint / $4::bigint::numeric, currency, 'planted' FROM w
                              RETURNING id, wallet_id, amount, currency),
                        e AS (INSERT INTO ledger_entries (transaction_id, id, wallet_id, account, amount, currency, created_at)
                              SELECT id, gen_random_uuid(), wallet_id, 'wallet:available', amount, currency, now() FROM t
                              UNION ALL SELECT id, gen_random_uuid(), NULL, 'stripe:clearing', -amount, currency, now() FROM t),
                        a AS (INSERT INTO audit_log (at, actor, action, transaction_ids, wallet_ids, detail)
                              SELECT now(), 'operator', d.action, ARRAY[t.id], ARRAY[wallet_id], d.detail FROM t,
                                     (VALUES (1, 'accept', '{\"type\": \"deposit\"}'::jsonb),
                                             (2, 'settle', '{\"stages\": [[\"accepted\", \"completed\"]]}')) AS d (n, action, detail)
                               ORDER BY d.n)
                   UPDATE wallets SET balance = balance + $3::bigint / $4::bigint::numeric WHERE id = $1";
        // UUIDv7: it lies in this month's partition.
        let id = Uuid::now_v7();
        let minor_units = 10_i64.pow(currency.exponent());
        let changed = self
            .db
            .execute(sql, &[&uuid(wallet), &id, &funds, &minor_units])
            .await;
        assert_eq!(changed, 1, "no wallet {wallet}");
        self.put_in(currency, -funds);
        currency
    }

    /// Adds cents that belong to no wallet to the platform's balance at Stripe.
    pub async fn top_up(&self, amount: i64) {
        self.top_up_in(Currency::USD, amount).await;
    }

    /// The same in minor units of another currency.
    pub async fn top_up_in(&self, currency: Currency, amount: i64) {
        self.stripe
            .control(
                "balance/top_up",
                json!({ "amount": amount, "currency": currency.code() }),
            )
            .await;
        self.put_in(currency, amount);
    }

    fn put_in(&self, currency: Currency, amount: i64) {
        let mut put_in = self.put_in.lock().unwrap();
        *put_in.entry(currency.code().to_owned()).or_default() += amount;
    }
}
