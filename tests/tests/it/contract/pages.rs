//! Pages of a wallet's history.

use serde_json::{Value, json};
use wallet_tests::TestApp;
use wallet_tests::app::id_of;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_is_paged_from_the_newest_to_the_oldest_without_gap_or_repetition() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(100_000).await;
    let (bob, his) = app.owner(0).await;
    let mut sent = Vec::new();
    for cents in 1..=7 {
        sent.push(app.send(&alice, &hers, &his, cents).await);
    }
    app.at_rest().await;
    let query = "query($id: String!, $first: Int, $after: String, $type: TransactionType, $status: TransactionStatus) { wallet(id: $id) {
        transactions(first: $first, after: $after, type: $type, status: $status) {
            edges { cursor node { id direction } } pageInfo { hasNextPage endCursor } } } }";
    for (user, wallet, direction) in [(&alice, &hers, "OUT"), (&bob, &his, "IN")] {
        let (mut after, mut seen) = (Value::Null, Vec::new());
        loop {
            let variables = json!({ "id": wallet, "first": 3, "after": after, "type": "TRANSFER", "status": "COMPLETED" });
            let page = app.gql(user, query, variables).await.data()["transactions"].clone();
            let edges = page["edges"].as_array().unwrap();
            assert!(edges.len() <= 3);
            assert!(edges.iter().all(|edge| edge["node"]["direction"] == direction));
            seen.extend(edges.iter().map(|edge| id_of(&edge["node"])));
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(seen, sent.iter().rev().cloned().collect::<Vec<_>>());
    }
    let none = app
        .gql(&alice, query, json!({ "id": hers, "type": "WITHDRAWAL" }))
        .await
        .data();
    assert_eq!(none["transactions"]["edges"], json!([]));
    app.finish().await;
}
