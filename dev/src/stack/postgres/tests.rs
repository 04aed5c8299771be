//! What a private PostgreSQL must hold.

use anyhow::bail;

use super::*;

#[tokio::test]
async fn data_survives_a_crash_and_a_restart_on_the_same_port() {
    let mut postgres = Postgres::start(PostgresOptions {
        password: Some("s3cret".into()),
        ..PostgresOptions::default()
    })
    .await
    .unwrap();
    postgres.create_database("one", None).await.unwrap();
    postgres
        .cluster()
        .execute("one", "CREATE TABLE t AS SELECT 42 AS x")
        .await
        .unwrap();
    let url = postgres.url("one");
    postgres.process_mut().kill().await.unwrap();
    postgres.start_again().await.unwrap();
    assert_eq!(postgres.url("one"), url);
    postgres.create_database("two", Some("one")).await.unwrap();
    let row = postgres
        .cluster()
        .connect("two")
        .await
        .unwrap()
        .query_one("SELECT x FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 42);
    postgres.stop(StopMode::Fast).await.unwrap();
    assert!(postgres.cluster().connect("one").await.is_err());
}

#[tokio::test]
async fn a_template_is_filled_once_and_again_after_a_failure() {
    let postgres = Postgres::start(PostgresOptions::default()).await.unwrap();
    let cluster = postgres.cluster();
    assert!(
        cluster
            .ensure_template("mould", async |_| bail!("no luck"))
            .await
            .is_err()
    );
    let fill = async |url: String| {
        Cluster::from_url(&url)?
            .execute("mould_draft", "CREATE TABLE t (x int)")
            .await
    };
    let (one, two) = tokio::join!(
        cluster.ensure_template("mould", fill),
        cluster.ensure_template("mould", fill)
    );
    one.and(two).unwrap();
    cluster.create_database("cast", Some("mould")).await.unwrap();
    cluster.execute("cast", "SELECT x FROM t").await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_does_not_get_in() {
    let postgres = Postgres::start(PostgresOptions {
        password: Some("s3cret".into()),
        ..PostgresOptions::default()
    })
    .await
    .unwrap();
    let wrong = postgres.url("postgres").replace("s3cret", "other");
    assert!(
        Cluster::from_url(&wrong)
            .unwrap()
            .connect("postgres")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn nothing_stays_behind() {
    let postgres = Postgres::start(PostgresOptions::default()).await.unwrap();
    let (data, sockets, pid) = (
        postgres.setup.data().to_owned(),
        postgres.socket_folder().to_owned(),
        postgres.process().pid(),
    );
    drop(postgres);
    assert!(!data.exists() && !sockets.exists());
    assert_eq!(crate::stack::record::command_of(pid), None);
}
