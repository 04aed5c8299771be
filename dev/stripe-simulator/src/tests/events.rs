//! Finding events by paging: what never came as a webhook is looked for this way.

use super::*;

impl Fixture {
    async fn events(&self, query: &str) -> Value {
        self.get(&format!("/v1/events?{query}")).await.ok()
    }

    /// Every event of a list, page by page.
    async fn all_events(&self, account: Option<&str>, query: &str) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::new();
        loop {
            let after = found.last().map_or_else(String::new, |event| {
                format!("&starting_after={}", event["id"].as_str().unwrap())
            });
            let path = format!("/v1/events?{query}{after}");
            let page = match account {
                Some(account) => self.get_as(account, &path).await.ok(),
                None => self.get(&path).await.ok(),
            };
            found.extend(page["data"].as_array().unwrap().clone());
            if page["has_more"] == false {
                return found;
            }
        }
    }

    async fn advance(&self, seconds: u64) {
        self.control("clock", json!({ "advance_seconds": seconds })).await;
    }
}

fn kinds(events: &Value) -> Vec<&str> {
    let events = events["data"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

/// <https://docs.stripe.com/api/events/list>
#[tokio::test]
async fn events_are_chosen_by_one_type_a_group_or_a_list() {
    let stripe = Fixture::new().await;
    let id = stripe.paid("1000", "pm_card_visa").await;
    stripe
        .post("/v1/refunds", &[("payment_intent", id["id"].as_str().unwrap())])
        .await
        .ok();
    let intents = ["payment_intent.succeeded", "payment_intent.created"];
    assert_eq!(kinds(&stripe.events("type=payment_intent.*").await), intents);
    assert_eq!(
        kinds(&stripe.events("type=charge.refunded").await),
        ["charge.refunded"]
    );
    let listed = "types[]=refund.created&types[]=payment_intent.created&types[]=payout.paid";
    assert_eq!(
        kinds(&stripe.events(listed).await),
        ["refund.created", "payment_intent.created"]
    );
    assert!(
        kinds(&stripe.events("types[]=payment_intent.*").await).is_empty(),
        "a list has no wildcards"
    );
    let both = stripe.get("/v1/events?type=a&types[]=b").await;
    assert_eq!((both.status.as_u16(), both.error("param")), (400, "types"));
    let many: String = (0..21).map(|n| format!("types[]=a.{n}&")).collect();
    assert_eq!(stripe.get(&format!("/v1/events?{many}")).await.status, 400);
}

/// <https://docs.stripe.com/api/events/list>
#[tokio::test]
async fn undelivered_events_are_paged_for_the_platform_and_each_account() {
    let stripe = Fixture::new().await;
    let target = json!({ "url": "http://127.0.0.1:1/nobody", "platform_secret": "whsec_1" });
    stripe.control("webhook", target).await;
    let accounts = [stripe.account().await, stripe.account().await];
    let mut made = Vec::new();
    for n in 0..7 {
        made.insert(0, stripe.post("/v1/customers", &[]).await.ok()["id"].clone());
        for account in &accounts {
            let change = json!({ "payouts_enabled": n % 2 == 1 });
            stripe.control(&format!("accounts/{account}"), change).await;
        }
    }
    let query = "delivery_success=false&limit=2";
    let own = stripe.all_events(None, query).await;
    let objects: Vec<Value> = own
        .iter()
        .map(|event| event["data"]["object"]["id"].clone())
        .collect();
    assert_eq!(objects, made);
    for account in &accounts {
        let theirs = stripe.all_events(Some(account), query).await;
        assert_eq!(theirs.len(), 7);
        assert!(theirs.iter().all(|event| event["account"] == account.as_str()));
        let foreign = format!("/v1/events?starting_after={}", own[0]["id"].as_str().unwrap());
        let refused = stripe.get_as(account, &foreign).await;
        assert_eq!(
            (refused.status.as_u16(), refused.error("param")),
            (400, "starting_after")
        );
    }
    let delivered = stripe.events("delivery_success=true&type=customer.*").await;
    assert!(kinds(&delivered).is_empty());
}

/// <https://docs.stripe.com/api/events/list>
#[tokio::test]
async fn events_are_chosen_by_the_second_they_were_made_in() {
    let stripe = Fixture::new().await;
    let mut seconds = Vec::new();
    for _ in 0..3 {
        stripe.post("/v1/customers", &[]).await.ok();
        let newest = stripe.events("limit=1").await;
        seconds.push(newest["data"][0]["created"].as_i64().unwrap());
        stripe.advance(100).await;
    }
    let count = async |query: String| kinds(&stripe.events(&query).await).len();
    let middle = seconds[1];
    for (query, found) in [
        (format!("created[gte]={middle}"), 2),
        (format!("created[gt]={middle}"), 1),
        (format!("created[lte]={middle}"), 2),
        (format!("created[lt]={middle}"), 1),
        (format!("created={middle}"), 1),
        (
            format!("created[gt]={}&created[lt]={}", seconds[0], seconds[2]),
            1,
        ),
        (format!("created[gt]={}", seconds[2]), 0),
    ] {
        assert_eq!(count(query.clone()).await, found, "{query}");
    }
    let both = stripe
        .all_events(None, &format!("created[gte]={middle}&limit=1"))
        .await;
    assert_eq!(both.len(), 2);
}

/// <https://docs.stripe.com/api/events>
#[tokio::test]
async fn events_are_kept_for_thirty_days() {
    let stripe = Fixture::new().await;
    stripe.post("/v1/customers", &[]).await.ok();
    let old = stripe.events("limit=1").await["data"][0]["id"].clone();
    let path = format!("/v1/events/{}", old.as_str().unwrap());
    stripe.advance(29 * 86_400).await;
    assert_eq!(stripe.get(&path).await.ok()["type"], "customer.created");
    stripe.advance(2 * 86_400).await;
    stripe.post("/v1/customers", &[]).await.ok();
    assert_eq!(kinds(&stripe.events("type=customer.created").await).len(), 1);
    assert_eq!(stripe.get(&path).await.status, 404);
}
