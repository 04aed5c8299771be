//! Connected accounts, from their creation to their first payout.

use wallet_core::ids::UserId;
use wallet_core::stripe::{AccountId, CreateAccount, CreateAccountLink, Opening};

use super::*;

fn user() -> UserId {
    "018f2f5e-7b3c-7000-8000-000000000003".parse().unwrap()
}

fn in_currency(code: &str) -> CreateAccount {
    CreateAccount {
        user_id: user(),
        currency: code.parse().unwrap(),
        opening: None,
    }
}

/// In euros, for a platform in the United States, an account is opened in a country that has them.
fn in_germany() -> CreateAccount {
    let [platform, country] = ["US", "DE"].map(|code| code.parse().unwrap());
    CreateAccount {
        opening: Some(Opening::of(&platform, country)),
        ..in_currency("eur")
    }
}

#[tokio::test]
async fn an_account_is_made_once_under_its_key_and_never_pays_out_by_itself() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let made = client.create_account(&key(1), &in_germany()).await.unwrap();
    let again = client.create_account(&key(1), &in_germany()).await.unwrap();
    assert_eq!(made.id, again.id);
    assert_eq!(stripe.effects("account.create").await.len(), 1);
    assert_eq!(made.payout_interval.as_deref(), Some("manual"));
    assert!(!made.details_submitted && !made.payouts_enabled);
    assert_eq!(made.metadata.user_id, Some(user()));
    assert!(!made.requirements_due.is_empty());
    let shown = stripe.get(&format!("/v1/accounts/{}", made.id)).await.ok();
    assert_eq!(
        (&shown["type"], &shown["default_currency"]),
        (&json!("express"), &json!("eur"))
    );
}

#[tokio::test]
async fn behind_its_link_a_person_completes_the_account() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let account = client.create_account(&key(1), &in_currency("usd")).await.unwrap();
    let params = CreateAccountLink {
        account: account.id.clone(),
        return_url: String::new(),
        refresh_url: "https://wallet.example/again".to_owned(),
    };
    let refused = client.create_account_link(&params).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Refused, "a link leads back");
    let params = CreateAccountLink {
        return_url: "https://wallet.example/done?from=stripe".to_owned(),
        ..params
    };
    let link = client.create_account_link(&params).await.unwrap();
    assert!(link.expires_at > simulator_time(&stripe).await);
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let back = browser.get(&link.url).send().await.unwrap();
    assert_eq!(back.headers()["location"], params.return_url.as_str());
    let complete = client.retrieve_account(&account.id).await.unwrap();
    assert!(complete.details_submitted && complete.payouts_enabled);
    assert!(complete.requirements_due.is_empty());
}

/// The simulator's time.
async fn simulator_time(stripe: &Fixture) -> chrono::DateTime<chrono::Utc> {
    let made = stripe.post("/v1/customers", &[]).await.ok();
    chrono::DateTime::from_timestamp(made["created"].as_i64().unwrap(), 0).unwrap()
}

#[tokio::test]
async fn an_account_of_daily_payouts_is_set_to_manual_and_may_be_set_again() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let id: AccountId = stripe.account().await.parse().unwrap();
    let before = client.retrieve_account(&id).await.unwrap();
    assert_eq!(before.payout_interval.as_deref(), Some("daily"));
    for _ in 0..2 {
        let after = client.set_manual_payouts(&id).await.unwrap();
        assert_eq!(after.payout_interval.as_deref(), Some("manual"));
        assert!(after.payouts_enabled, "nothing else has changed");
    }
    let stranger: AccountId = "acct_none".parse().unwrap();
    let refused = client.set_manual_payouts(&stranger).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Refused);
}
