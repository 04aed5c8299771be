//! A connection to Redis that is made on demand and never waited for long.
//!
//! The dispatcher can fall back on PostgreSQL, so it only needs to find out within a second that Redis is away. The next
//! call then connects again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use tokio::time::{Instant, timeout};

use super::TransportError;

/// The maximum duration of a call, including the time to connect.
const WHOLE_CALL: Duration = Duration::from_millis(900);
const CONNECT: Duration = Duration::from_millis(400);
/// For this long after a failed connection, calls fail with the same error instead of queueing up for the next attempt.
const COOL_DOWN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Link {
    client: redis::Client,
    state: tokio::sync::Mutex<State>,
    made: AtomicU64,
}

#[derive(Default)]
struct State {
    connection: Option<Numbered>,
    failed: Option<(Instant, RedisError)>,
}

#[derive(Clone)]
struct Numbered {
    number: u64,
    connection: MultiplexedConnection,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("connected", &self.connection.is_some())
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(client: redis::Client) -> Self {
        Self {
            client,
            state: tokio::sync::Mutex::default(),
            made: AtomicU64::new(0),
        }
    }

    pub(super) fn client(&self) -> &redis::Client {
        &self.client
    }

    /// Runs `request` over the connection. After a failure that the connection may have caused, the next call makes a new one.
    pub(super) async fn call<T, F>(
        &self,
        request: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, TransportError>
    where
        F: Future<Output = Result<T, TransportError>>,
    {
        let mut used = None;
        let asked = timeout(WHOLE_CALL, async {
            let Numbered { number, connection } = self.connection().await?;
            used = Some(number);
            request(connection).await
        });
        let outcome = asked.await.unwrap_or(Err(TransportError::Timeout));
        if let (Some(number), Err(error)) = (used, &outcome)
            && error.may_be_the_connection()
        {
            let mut state = self.state.lock().await;
            if state
                .connection
                .as_ref()
                .is_some_and(|current| current.number == number)
            {
                state.connection = None;
            }
        }
        outcome
    }

    async fn connection(&self) -> Result<Numbered, TransportError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok(connection.clone());
        }
        if let Some((at, error)) = &state.failed
            && at.elapsed() < COOL_DOWN
        {
            return Err(TransportError::Redis(error.clone()));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(WHOLE_CALL));
        match self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
        {
            Ok(connection) => {
                let made = Numbered {
                    number: self.made.fetch_add(1, Ordering::Relaxed),
                    connection,
                };
                *state = State {
                    connection: Some(made.clone()),
                    failed: None,
                };
                Ok(made)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(TransportError::Redis(error))
            }
        }
    }
}
