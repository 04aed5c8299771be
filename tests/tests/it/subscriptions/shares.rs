//! What one person may hold, and that others get their share.

use std::time::Duration;

use serde_json::json;
use wallet_tests::app::Options;
use wallet_tests::socket::{Frame, Socket};
use wallet_tests::{TestApp, User, eventually};

use super::{never_looking, next, watch, watch_wallet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_ends_with_its_session_and_those_of_other_sessions_stay() {
    let app = never_looking().await;
    let (alice, hers) = app.owner(1_000).await;
    let (mut revoked, _) = watch_wallet(app.base(), &alice.in_session("lost-phone"), &hers).await;
    let (mut second, _) = watch_wallet(app.base(), &alice.in_session("lost-phone"), &hers).await;
    let (mut kept, _) = watch_wallet(app.base(), &alice.in_session("laptop"), &hers).await;
    let (mut without, _) = watch_wallet(app.base(), &alice, &hers).await;
    let revoke =
        "INSERT INTO revoked_sessions (session_id, user_id, revoked_at) VALUES ('lost-phone', $1, now())";
    assert_eq!(app.db.execute(revoke, &[&alice.id]).await, 1);
    assert_eq!(revoked.frame().await, Frame::Closed(4403));
    assert_eq!(second.frame().await, Frame::Closed(4403));
    for socket in [&mut kept, &mut without] {
        socket.send(json!({ "type": "ping" })).await;
        assert_eq!(socket.frame().await, Frame::Message(json!({ "type": "pong" })));
    }
    // The database answers at once who was revoked; what was asked before may count for five more seconds.
    eventually("the revoked session to be refused", async || {
        let mut again = Socket::open(app.base()).await;
        again.greet(&alice.in_session("lost-phone").token).await;
        again.frame().await == Frame::Closed(4403)
    })
    .await;
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_websockets_of_one_person_lock_nobody_out_greeted_or_not() {
    let app = never_looking().await;
    let (alice, _) = app.owner(0).await;
    let (bob, his) = app.owner(1_000).await;
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..100 {
        let mut socket = Socket::open(app.base()).await;
        socket.greet(&alice.token).await;
        match socket.frame().await {
            Frame::Message(_) => open.push(socket),
            Frame::Closed(code) => {
                assert_eq!(code, 1013);
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && !open.is_empty(), "{refused} of 100 were refused");
    let mut ungreeted = Vec::new();
    for _ in 0..1_000 {
        ungreeted.push(Socket::open(app.base()).await);
    }
    let (_, first) = watch_wallet(app.base(), &bob, &his).await;
    assert_eq!(first["balance"], "10.00");
    assert_eq!(
        ungreeted[0].frame().await,
        Frame::Closed(1013),
        "the oldest made way"
    );
    app.abandon().await;
}

/// Ten people have all the subscriptions that they may have, of rows that are read every two seconds; who requests a thousand gets a hundred of
/// them. The database is left to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_people_with_all_the_subscriptions_that_they_may_have_leave_the_database_to_others() {
    let app = TestApp::with(Options {
        workers: 0,
        variables: vec![
            ("SUBSCRIPTION_POLL_SECONDS", "2".to_owned()),
            ("RATE_LIMIT_PER_MINUTE", "0".to_owned()),
        ],
        ..Options::default()
    })
    .await;
    let query = "subscription($id: String!) { walletUpdated(id: $id) { balance } }";
    let mut open = Vec::new();
    for each in [100, 10, 10, 10, 10, 10, 10, 10, 10, 10] {
        let (one, wallet) = app.owner(0).await;
        let mut accepted = 0;
        for _ in 0..10 {
            let mut socket = Socket::of(app.base(), &one).await;
            for number in 0..each {
                let name = number.to_string();
                socket.begin(&name, query, json!({ "id": wallet })).await;
            }
            for _ in 0..each {
                let Frame::Message(told) = socket.frame().await else {
                    panic!("closed: it asked for too much")
                };
                match told["type"].as_str() {
                    Some("next") => accepted += 1,
                    Some("error") => assert_eq!(
                        told["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED",
                        "{told}"
                    ),
                    _ => panic!("{told}"),
                }
            }
            open.push(socket);
        }
        assert_eq!(accepted, 100, "of one person");
    }
    let (bob, his) = app.owner(1_000).await;
    for _ in 0..20 {
        let answer = app.gql(&bob, "{ wallets { id balance } }", json!({})).await;
        assert_eq!(answer.data()[0]["balance"], "10.00");
    }
    let (mut socket, _) = watch_wallet(app.base(), &bob, &his).await;
    change(&app, &his).await;
    assert_eq!(next(&mut socket).await["balance"], "11.00");
    drop(open);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_is_told_as_such() {
    let app = TestApp::with_workers(0).await;
    for bytes in [64 * 1024 + 1, 200 * 1024, 1024 * 1024] {
        let mut socket = Socket::of(app.base(), &User::new()).await;
        socket
            .send(json!({ "type": "ping", "payload": { "a": "x".repeat(bytes) } }))
            .await;
        assert_eq!(socket.frame().await, Frame::Closed(1009), "{bytes}");
    }
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_who_watches_one_wallet_hears_of_its_change() {
    let app = never_looking().await;
    let (alice, hers) = app.owner(1_000).await;
    let mut sockets = Vec::new();
    for _ in 0..15 {
        sockets.push(watch_wallet(app.base(), &alice, &hers).await.0);
    }
    let query = "subscription($id: String!) { walletUpdated(id: $id) { balance } }";
    let mut stranger = Socket::of(app.base(), &User::new()).await;
    stranger.begin("watch", query, json!({ "id": hers })).await;
    let Frame::Message(told) = stranger.frame().await else {
        panic!("closed")
    };
    assert_eq!(
        told["payload"][0]["extensions"]["code"], "WALLET_NOT_FOUND",
        "others look at it, which makes it nobody else's: {told}"
    );
    change(&app, &hers).await;
    for socket in &mut sockets {
        assert_eq!(next(socket).await["balance"], "11.00");
    }
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_heavy_subscription_cost_what_their_answers_cost_and_those_of_a_light_one_nothing() {
    const LIMIT: usize = 60;
    let app = TestApp::with(Options {
        workers: 0,
        variables: vec![
            ("SUBSCRIPTION_POLL_SECONDS", "3600".to_owned()),
            ("RATE_LIMIT_PER_MINUTE", LIMIT.to_string()),
        ],
        ..Options::default()
    })
    .await;
    let is_let_in = async |user: &User| {
        let answer = app.gql(user, "{ wallets { id } }", json!({})).await;
        assert!(matches!(answer.code(), None | Some("RATE_LIMITED")), "{answer:?}");
        answer.code().is_none()
    };
    let (light, of_light) = app.owner(0).await;
    let (mut socket, _) = watch_wallet(app.base(), &light, &of_light).await;
    for number in 1..=LIMIT {
        change(&app, &of_light).await;
        assert_eq!(next(&mut socket).await["balance"], format!("{number}.00"));
    }
    assert!(is_let_in(&light).await);

    let (heavy, of_heavy) = app.owner(0).await;
    let much = "subscription($id: String!) { walletUpdated(id: $id) { balance
        transactions(first: 100) { nodes { id metadata timeline { kind message } } } } }";
    let (mut socket, _) = watch(app.base(), &heavy, much, &of_heavy).await;
    assert!(is_let_in(&heavy).await, "the first result alone is let in");
    let mut told = 0;
    while is_let_in(&heavy).await {
        assert!(told < LIMIT, "the events cost nothing");
        change(&app, &of_heavy).await;
        if tokio::time::timeout(Duration::from_secs(2), next(&mut socket))
            .await
            .is_ok()
        {
            told += 1;
        }
    }
    assert!(told > 0, "an event that can be paid for is told");
    app.abandon().await;
}

/// Puts a dollar into a wallet, and announces it.
async fn change(app: &TestApp, wallet: &str) {
    app.plant(wallet, 100).await;
    let notify = format!(
        "SELECT pg_notify('wallet_changes', '{}')",
        wallet.replace('-', "")
    );
    app.db.rows(&notify, &[]).await;
}
