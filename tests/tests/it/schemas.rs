//! The schema of a database in which the tables are created, and which of them are found.

use wallet_core::db::{self, DbError};
use wallet_tests::servers::{self, without_tls};

/// PostgreSQL's own search path is that of the role's name, then `public`: a schema that is created later comes before the one with the tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_comes_before_the_books_gets_no_second_set_of_tables() {
    let name = servers::empty_database().await;
    let cluster = servers::postgres().await;
    let client = cluster.connect(&name).await.unwrap();
    let url = without_tls(&cluster.url(&name));
    assert!(!db::migrate(&url).await.unwrap().is_empty());
    client
        .batch_execute("CREATE SCHEMA AUTHORIZATION CURRENT_USER")
        .await
        .unwrap();
    let role: String = client
        .query_one("SELECT current_user::text", &[])
        .await
        .unwrap()
        .get(0);
    let refused = db::migrate(&url).await.unwrap_err();
    assert!(
        matches!(&refused, DbError::OtherSchema { ours, theirs } if *ours == role && theirs == "public"),
        "{refused:?}"
    );
    let words = refused.to_string();
    assert!(words.contains(&role) && words.contains("public"), "{words}");
    let count =
        "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $1";
    let made: i64 = client.query_one(count, &[&role]).await.unwrap().get(0);
    assert_eq!(made, 0, "nothing may be made");
    // Either fix ends it.
    let named = format!("{url}&options=-csearch_path%3Dpublic");
    assert!(db::migrate(&named).await.unwrap().is_empty());
    client
        .batch_execute(&format!("DROP SCHEMA \"{role}\""))
        .await
        .unwrap();
    assert!(db::migrate(&url).await.unwrap().is_empty());
    // Books that are in use are those of the first schema, whoever has others behind it.
    client
        .batch_execute("CREATE SCHEMA AUTHORIZATION CURRENT_USER")
        .await
        .unwrap();
    let own = format!("{url}&options=-csearch_path%3D{role}");
    assert!(!db::migrate(&own).await.unwrap().is_empty());
    assert!(matches!(
        db::migrate(&url).await,
        Err(DbError::OtherSchema { .. })
    ));
    let used =
        "INSERT INTO wallets (id, user_id, currency) VALUES (gen_random_uuid(), gen_random_uuid(), 'usd')";
    client.batch_execute(used).await.unwrap();
    assert!(db::migrate(&url).await.unwrap().is_empty());
    drop(client);
    cluster.drop_database(&name).await.unwrap();
}
