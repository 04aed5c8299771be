//! A pooler between us and PostgreSQL, in session mode: it knows few parameters of a session's start, and refuses the others.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wallet_core::db::{self, Db, DbOptions};
use wallet_tests::Database;

/// The parameters that `PgBouncer` accepts, and that every client sends
/// (<https://www.pgbouncer.org/config.html#ignore_startup_parameters>).
const KNOWN: [&str; 7] = [
    "user",
    "database",
    "application_name",
    "client_encoding",
    "datestyle",
    "timezone",
    "standard_conforming_strings",
];

/// Reads the parameters of the first message of a session, by the protocol: a length, a version, and pairs of texts that end with a zero each
/// (<https://www.postgresql.org/docs/15/protocol-message-formats.html>).
fn parameters(message: &[u8]) -> Vec<String> {
    let texts = message.get(8..).unwrap().split(|byte| *byte == 0);
    texts
        .step_by(2)
        .map(|name| String::from_utf8_lossy(name).to_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

/// One session through the pooler.
async fn pass(mut client: TcpStream, server: u16) -> std::io::Result<()> {
    let length = client.read_u32().await?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(usize::try_from(length).unwrap(), 0);
    client.read_exact(message.get_mut(4..).unwrap()).await?;
    if let Some(unknown) = parameters(&message)
        .iter()
        .find(|name| !KNOWN.contains(&name.as_str()))
    {
        let fields = format!("SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: {unknown}\0\0");
        client.write_u8(b'E').await?;
        client.write_u32(u32::try_from(fields.len()).unwrap() + 4).await?;
        return client.write_all(fields.as_bytes()).await;
    }
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    server.write_all(&message).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server)
        .await
        .map(drop)
}

/// Starts a pooler before a server, and returns its port.
async fn pooler_before(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            tokio::spawn(pass(client, server));
        }
    });
    port
}

/// The settings of a session of this pool.
async fn settings(db: &Db, database: &Database) -> Vec<String> {
    const NOTE: &str = "DROP TABLE IF EXISTS noted;
        CREATE TABLE noted AS SELECT place, current_setting(name) AS value FROM unnest(ARRAY['statement_timeout', 'lock_timeout',
            'idle_in_transaction_session_timeout', 'client_connection_check_interval']) WITH ORDINALITY AS asked (name, place)";
    let mut conn = db.conn().await.unwrap();
    SimpleAsyncConnection::batch_execute(&mut *conn, NOTE)
        .await
        .unwrap();
    let rows = database.rows("SELECT value FROM noted ORDER BY place", &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_that_refuses_startup_parameters_every_session_has_its_guards() {
    let database = Database::migrated().await;
    let mut behind: url::Url = database.url().await.parse().unwrap();
    let port = pooler_before(behind.port().unwrap_or(5_432)).await;
    behind.set_host(Some("127.0.0.1")).unwrap();
    behind.set_port(Some(port)).unwrap();
    let options = DbOptions {
        application_name: "wallet-tests",
        pool_size: 2,
        statement_timeout: Duration::from_secs(7),
        lock_timeout: Duration::from_millis(1_500),
        ..DbOptions::default()
    };
    let db = Db::connect(behind.as_str(), &options).await.unwrap();
    assert_eq!(settings(&db, &database).await, ["7s", "1500ms", "5s", "2s"]);
    assert_eq!(
        settings(&db.for_reports(), &database).await,
        ["0", "1500ms", "5s", "2s"]
    );
    assert!(db::pending_migrations(behind.as_str()).await.unwrap().is_empty());
    drop(db);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_the_url_names_is_the_one_of_the_url_and_the_others_are_ours() {
    let database = Database::migrated().await;
    let url = format!("{}&options=-clock_timeout%3D1234", database.url().await);
    let db = Db::connect(&url, &DbOptions::default()).await.unwrap();
    assert_eq!(settings(&db, &database).await, ["15s", "1234ms", "5s", "2s"]);
    drop(db);
    database.drop().await;
}
