//! One mutation under way: its caller, its idempotency key, and a task in which it finishes even without its client.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::Context;
use tokio::time::timeout;
use tracing::Instrument;
use wallet_core::accept::{AcceptError, Caller, IdempotencyKey};
use wallet_core::transactions::Transaction;

use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::graphql::types::WalletTransaction;
use crate::metrics::ACCEPTED;
use crate::places::Turn;
use crate::state::App;

/// How long a client waits for Stripe. Work that has begun continues after the answer; repeating the request finds its result.
const WITHIN: Duration = Duration::from_secs(10);

/// Waits for work that calls Stripe, up to a limit.
pub(super) async fn within<T>(work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    timeout(WITHIN, work)
        .await
        .map_err(|elapsed| ApiError::Unavailable(Arc::new(elapsed)))?
}

/// The data that every mutation needs.
pub(super) struct Call {
    pub(super) app: Arc<App>,
    pub(super) caller: Caller,
    pub(super) key: Option<IdempotencyKey>,
    /// The caller's turn, taken until the work has finished, even if the client disconnects.
    _turn: Option<Arc<Turn>>,
}

impl Call {
    /// Creates the call of this request; `key` is the key in the input.
    pub(super) fn new(ctx: &Context<'_>, key: Option<&str>) -> Result<Self, ApiError> {
        Ok(Self {
            app: Arc::clone(ctx.app()?),
            caller: ctx.caller()?.clone(),
            key: ctx.idempotency_key(key)?,
            _turn: ctx.data_opt::<Arc<Turn>>().cloned(),
        })
    }

    /// Takes one of the caller's requests that may call Stripe.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if the caller has none left; Stripe must not be called then.
    pub(super) async fn take_provider_request(&self) -> Result<(), ApiError> {
        self.app.provider_limiter.take(self.caller.user_id, 1).await
    }

    /// Runs `work` in a task of its own: a client that disconnects cannot stop it half way, and a server that ends waits for it.
    pub(super) async fn to_its_end<T, E, F>(app: &App, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let task = app.tasks.spawn(work.in_current_span());
        task.await.map_err(ApiError::internal)?.map_err(Into::into)
    }

    /// Accepts a transaction with `work`, and counts it.
    pub(super) async fn accept<W, F>(self, work: W) -> Result<WalletTransaction, ApiError>
    where
        W: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = Result<Transaction, AcceptError>> + Send,
    {
        let has_key = self.key.is_some();
        let accepted = self.change(work).await.map_err(|error| error.with_key(has_key))?;
        metrics::counter!(ACCEPTED, "type" => accepted.kind().as_str()).increment(1);
        Ok(accepted)
    }

    /// Changes a transaction with `work`, and returns it as it is then.
    pub(super) async fn change<W, F>(self, work: W) -> Result<WalletTransaction, ApiError>
    where
        W: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = Result<Transaction, AcceptError>> + Send,
    {
        let (app, caller) = (Arc::clone(&self.app), self.caller.clone());
        let changed = Self::to_its_end(&app, async move { Box::pin(work(self)).await }).await?;
        Ok(WalletTransaction::alone(changed, &caller))
    }
}
