//! The pool of connections.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError, PoolableConnection as _, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};

use super::establish::{Target, establish};
use super::watch::Watch;
use super::{DbError, guards, sql};

/// The age at which a connection is replaced, so that one to a server whose role has changed does not stay for ever.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long sessions that were opened on a read-only server are lent unchecked; then each is checked, and replaced if still read-only.
const READ_FOR: Duration = Duration::from_secs(2);
/// The time within which sent data must be acknowledged; otherwise the network path counts as broken.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(15);

/// The maximum number of sessions of a process for long-running reports: the verification of the ledger, and the comparison with Stripe.
const REPORTS: u32 = 2;

/// A statement that returns one row if the session accepts writes.
const TAKES_WRITES: &str = "SELECT 1 WHERE current_setting('transaction_read_only') = 'off'";

/// One connection.
pub type PgConn = AsyncPgConnection;

/// A connection lent by the pool; returned to it when dropped, but closed instead if a transaction was left open on it.
pub type Conn<'a> = bb8::PooledConnection<'a, AsyncDieselConnectionManager<AsyncPgConnection>>;

/// How a process uses the database.
#[derive(Debug, Clone)]
pub struct DbOptions {
    /// The application name, shown in `pg_stat_activity`.
    pub application_name: &'static str,
    /// The maximum number of connections.
    pub pool_size: u32,
    /// The longest wait for one of the pool's connections. The default is short enough for a worker that has waited in vain to renew its lease
    /// (every 5 s, for 15 s) before it ends, and for a person at a terminal to see the error before giving up.
    pub get_timeout: Duration,
    /// The time limit for making a new connection, unless the URL sets another (`connect_timeout`).
    pub connect_timeout: Duration,
    /// The longest run of one statement; zero means no limit. The server ends a statement that takes longer; if the server itself does not answer
    /// for some seconds more, its session is abandoned.
    pub statement_timeout: Duration,
    /// The longest wait for a lock.
    pub lock_timeout: Duration,
    /// Whether the database must accept writes. If so, a session that does not, such as one opened while its server was a replica, is no longer
    /// lent once the server does, and [`Db::ping`] fails on a read-only server.
    pub writes: bool,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            application_name: "wallet",
            pool_size: 10,
            get_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(15),
            lock_timeout: Duration::from_secs(5),
            writes: true,
        }
    }
}

/// The database of a process: cheap to clone.
///
/// bb8 checks a connection when it is returned, so a request that was cancelled in the middle of a transaction cannot leave
/// its locks behind.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    /// For statements without a time limit.
    reports: Pool,
    failure: LastFailure,
    /// The maximum number of connections of `pool`.
    most: u32,
    writes: bool,
}

type Pool = bb8::Pool<AsyncDieselConnectionManager<AsyncPgConnection>>;

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("connections", &self.pool.state().connections)
            .finish()
    }
}

/// Why there is no connection: in our words, with the message of the server or of the network.
#[derive(Debug, thiserror::Error)]
enum NoConnection {
    #[error("the database cannot be reached: {0}")]
    Refused(String),
    #[error("all connections are in use")]
    AllInUse,
    #[error("the database does not answer")]
    Silent,
    #[error("the database takes no writes")]
    ReadOnly,
}

/// The error of the last connection that could not be made: the pool itself only reports a timeout.
#[derive(Debug, Clone, Default)]
struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl bb8::ErrorSink<PoolError> for LastFailure {
    fn sink(&self, error: PoolError) {
        let words = match &error {
            PoolError::ConnectionError(error) => error.to_string(),
            PoolError::QueryError(error) => error.to_string(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<PoolError>> {
        Box::new(self.clone())
    }
}

/// When a session was last opened while the server was read-only. Such a session stays read-only when the server accepts writes again, so as
/// long as there may be one, sessions are checked before they are lent.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadOnlySeen(Arc<Mutex<Option<Instant>>>);

impl ReadOnlySeen {
    /// Records a new session that does not accept writes, which PostgreSQL 14 and later report when it starts
    /// (<https://www.postgresql.org/docs/15/protocol-flow.html#PROTOCOL-ASYNC>).
    pub(super) fn look_at<S, T>(&self, connection: &tokio_postgres::Connection<S, T>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        T: tokio_postgres::tls::TlsStream + Unpin,
    {
        let is_on = |name| connection.parameter(name) == Some("on");
        if is_on("in_hot_standby") || is_on("default_transaction_read_only") {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// Whether the pool may hold such a session while the server may accept writes by now. Until then such sessions may still be used for reading.
    fn may_be_over(&self) -> bool {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection that is in use when its lifetime ends is replaced later.
        seen.is_some_and(|at| at.elapsed() > READ_FOR && at.elapsed() < LIFETIME * 2)
    }
}

/// Returns an error if a connection cannot be lent again; with `asks` also if it does not accept writes.
async fn is_usable(conn: &mut PgConn, asks: bool) -> diesel::QueryResult<()> {
    if conn.is_broken() || (asks && sql(TAKES_WRITES).execute(conn).await? == 0) {
        return Err(diesel::result::Error::BrokenTransactionManager);
    }
    Ok(())
}

impl Db {
    /// Creates a pool on `url`; connections are made when first needed.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub async fn connect(url: &str, options: &DbOptions) -> Result<Self, DbError> {
        let failure = LastFailure::default();
        let reports = DbOptions {
            statement_timeout: Duration::ZERO,
            pool_size: REPORTS,
            ..options.clone()
        };
        Ok(Self {
            pool: pool(url, options, &failure).await?,
            reports: pool(url, &reports, &failure).await?,
            failure,
            most: options.pool_size,
            writes: options.writes,
        })
    }

    /// Returns the same database for a report with statements of any duration: it uses sessions of its own, of which there are few.
    #[must_use]
    pub fn for_reports(&self) -> Self {
        Self {
            pool: self.reports.clone(),
            most: REPORTS,
            ..self.clone()
        }
    }

    /// Returns a connection, after waiting for one at most as long as configured.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when there is none in time.
    pub async fn conn(&self) -> Result<Conn<'_>, DbError> {
        self.pool.get().await.map_err(|error| {
            let reason = match error {
                bb8::RunError::User(error) => Some(error.to_string()),
                bb8::RunError::TimedOut => self.failure.take(),
            };
            // A connection that is still being made has not failed yet, and is not in use either.
            let state = self.pool.state();
            let is_full = state.connections >= self.most && state.idle_connections == 0;
            let unknown = if is_full {
                NoConnection::AllInUse
            } else {
                NoConnection::Silent
            };
            DbError::Unavailable(Box::new(reason.map_or(unknown, NoConnection::Refused)))
        })
    }

    /// Checks that the server answers, and that it accepts writes if it must.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        let question = if self.writes { TAKES_WRITES } else { "SELECT 1" };
        match sql(question).execute(&mut *self.conn().await?).await? {
            0 => Err(DbError::Unavailable(Box::new(NoConnection::ReadOnly))),
            _ => Ok(()),
        }
    }
}

/// Creates a pool; its connections are made when first needed.
async fn pool(url: &str, options: &DbOptions, failure: &LastFailure) -> Result<Pool, DbError> {
    let target = configure(url, options)?;
    let mut manager_config = ManagerConfig::<AsyncPgConnection>::default();
    let read_only = ReadOnlySeen::default();
    let seen = options.writes.then(|| read_only.clone());
    // A connection is known to be broken when its driver task has ended; asking the server before each use would cost a round trip.
    manager_config.recycling_method = RecyclingMethod::CustomFunction(Box::new(move |conn: &mut PgConn| {
        let asks = seen.as_ref().is_some_and(ReadOnlySeen::may_be_over);
        is_usable(conn, asks).boxed()
    }));
    let statement_timeout = options.statement_timeout;
    manager_config.custom_setup = Box::new(move |_| {
        let watch = Watch::over(statement_timeout);
        establish(Arc::clone(&target), read_only.clone(), watch)
    });
    bb8::Pool::builder()
        .error_sink(Box::new(failure.clone()))
        .max_size(options.pool_size)
        .connection_timeout(options.get_timeout)
        .max_lifetime(LIFETIME)
        .test_on_check_out(true)
        .build(AsyncDieselConnectionManager::new_with_config(url, manager_config))
        .await
        .map_err(|error| DbError::Unavailable(Box::new(error)))
}

/// Opens one connection outside any pool.
pub(crate) async fn connect_once(url: &str, options: &DbOptions) -> Result<PgConn, DbError> {
    establish(configure(url, options)?, ReadOnlySeen::default(), None)
        .await
        .map_err(|error| DbError::Unavailable(Box::new(error)))
}

fn configure(url: &str, options: &DbOptions) -> Result<Arc<Target>, DbError> {
    let mut config: tokio_postgres::Config = url
        .parse()
        .map_err(|error: tokio_postgres::Error| DbError::Unavailable(Box::new(error)))?;
    // What the URL sets takes precedence over our own settings.
    if config.get_application_name().is_none() {
        config.application_name(options.application_name);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(options.connect_timeout);
    }
    if config.get_keepalives_idle() == tokio_postgres::Config::new().get_keepalives_idle() {
        config.keepalives_idle(Duration::from_secs(30));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(5));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(3);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(ACKNOWLEDGED_WITHIN);
    }
    Ok(Arc::new(Target {
        config,
        guards: guards::statement(options),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(url: &str) -> tokio_postgres::Config {
        configure(url, &DbOptions::default()).unwrap().config.clone()
    }

    #[test]
    fn what_the_url_says_wins_over_what_we_would_set() {
        let plain = configured("postgres://u@db/w");
        assert_eq!(plain.get_application_name(), Some("wallet"));
        assert_eq!(plain.get_connect_timeout(), Some(&Duration::from_secs(10)));
        let named = configured(
            "postgres://u@db/w?application_name=ours&connect_timeout=3&keepalives_idle=7&options=-csearch_path%3Da%2Cb%20-clock_timeout%3D1",
        );
        assert_eq!(named.get_application_name(), Some("ours"));
        assert_eq!(named.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(named.get_keepalives_idle(), Duration::from_secs(7));
        assert_eq!(named.get_options(), Some("-csearch_path=a,b -clock_timeout=1"));
    }

    #[test]
    fn a_session_is_begun_without_the_parameter_that_poolers_refuse() {
        assert_eq!(configured("postgres://u@db/w").get_options(), None);
    }
}
