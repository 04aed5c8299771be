//! Opening one session: its socket, its driver task, and the watch over it.

use std::sync::Arc;

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{Client, Config, Connection, Socket};

use super::pool::ReadOnlySeen;
use super::watch::Watch;

/// The server to connect to, and the settings of each session.
pub(super) struct Target {
    pub(super) config: Config,
    /// The statement that makes the settings.
    pub(super) guards: String,
}

/// Opens a session to `target`, with its guards set. With a `watch`, the session is abandoned when the server does not answer for too long.
pub(super) fn establish(
    target: Arc<Target>,
    read_only: ReadOnlySeen,
    watch: Option<Watch>,
) -> BoxFuture<'static, ConnectionResult<AsyncPgConnection>> {
    async move {
        // The client's own time limit covers only the socket: a server that accepts it may still never greet.
        let within = target.config.get_connect_timeout().copied();
        let greeting = async {
            let mut session = greeted(&target.config, &read_only, watch).await?;
            let set = SimpleAsyncConnection::batch_execute(&mut session, &target.guards).await;
            set.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(session)
        };
        match within {
            Some(within) => tokio::time::timeout(within, greeting).await.unwrap_or_else(|_| {
                let words = format!("the server has not answered within {} s", within.as_secs());
                Err(ConnectionError::BadConnection(words))
            }),
            None => greeting.await,
        }
    }
    .boxed()
}

async fn greeted(
    config: &Config,
    read_only: &ReadOnlySeen,
    watch: Option<Watch>,
) -> ConnectionResult<AsyncPgConnection> {
    let bad = |error: tokio_postgres::Error| {
        ConnectionError::BadConnection(match error.as_db_error() {
            Some(refusal) => refusal.message().to_owned(),
            None => error.to_string(),
        })
    };
    if config.get_ssl_mode() == tokio_postgres::config::SslMode::Disable {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(bad)?;
        read_only.look_at(&connection);
        return session(client, connection, watch).await;
    }
    let tls = tokio_postgres_rustls::MakeRustlsConnect::new(tls_config()?);
    let (client, connection) = config.connect(tls).await.map_err(bad)?;
    read_only.look_at(&connection);
    session(client, connection, watch).await
}

/// Returns the session of a connection that has been made.
async fn session<T>(
    client: Client,
    connection: Connection<Socket, T>,
    watch: Option<Watch>,
) -> ConnectionResult<AsyncPgConnection>
where
    T: TlsStream + Unpin + Send + 'static,
{
    let Some(watch) = watch else {
        return AsyncPgConnection::try_from_client_and_connection(client, connection).await;
    };
    let watched = watch.clone();
    tokio::spawn(async move {
        // When this task ends, all who wait for an answer get a closed connection as their error, and the pool makes another one.
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a session of the database has ended");
                }
            }
            () = watched.overdue() => {
                tracing::warn!("the database has not answered a statement in time: its session is given up");
            }
        }
    });
    let mut session = AsyncPgConnection::try_from(client).await?;
    session.set_instrumentation(watch);
    Ok(session)
}

fn tls_config() -> Result<rustls::ClientConfig, ConnectionError> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for certificate in found.certs {
        // A root certificate that this library cannot read is no reason to distrust the others.
        let _ = roots.add(certificate);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
