//! A connection to Redis that is made when it is needed and never waited for long.
//!
//! The dispatcher has PostgreSQL to fall back on, so a Redis that is away is an answer for it, and a quick one: under a
//! second. The next call connects anew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use tokio::time::{Instant, timeout};

use super::CarrierError;

/// The longest a call may take, a connection included.
const WHOLE_CALL: Duration = Duration::from_millis(900);
const CONNECT: Duration = Duration::from_millis(400);
/// After a failed connection, calls within this time fail with it instead of queueing up for the next one.
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

    /// Runs `request` over the connection; after a failure that may be the connection's the next call makes a new one.
    pub(super) async fn call<T, F>(
        &self,
        request: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, CarrierError>
    where
        F: Future<Output = Result<T, CarrierError>>,
    {
        let mut used = None;
        let asked = timeout(WHOLE_CALL, async {
            let Numbered { number, connection } = self.connection().await?;
            used = Some(number);
            request(connection).await
        });
        let outcome = asked.await.unwrap_or(Err(CarrierError::Timeout));
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

    async fn connection(&self) -> Result<Numbered, CarrierError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok(connection.clone());
        }
        if let Some((at, error)) = &state.failed
            && at.elapsed() < COOL_DOWN
        {
            return Err(CarrierError::Redis(error.clone()));
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
                Err(CarrierError::Redis(error))
            }
        }
    }
}
