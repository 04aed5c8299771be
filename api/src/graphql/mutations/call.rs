//! One mutation on its way: who asks for it, under which key, and that it reaches its end.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::Context;
use tokio::time::timeout;
use tracing::Instrument;
use wallet_core::accept::{AcceptError, Accepted, Caller, IdempotencyKey};
use wallet_core::chaos::{self, Point};
use wallet_core::jobs::QueueName;

use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::graphql::types::WalletTransaction;
use crate::metrics::ACCEPTED;
use crate::places::Turn;
use crate::state::App;

/// How long a person waits for Stripe. What was begun goes on behind the answer, and asking again finds it.
const WITHIN: Duration = Duration::from_secs(10);

/// Waits for work that asks Stripe, but not for ever.
pub(super) async fn within<T>(work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    timeout(WITHIN, work)
        .await
        .map_err(|elapsed| ApiError::Unavailable(Arc::new(elapsed)))?
}

/// What every mutation needs.
pub(super) struct Call {
    pub(super) app: Arc<App>,
    pub(super) caller: Caller,
    pub(super) key: Option<IdempotencyKey>,
    /// The caller's turn: taken until the work has come to its end, also when the client has hung up.
    _turn: Option<Arc<Turn>>,
}

impl Call {
    /// The call of this request; `key` is the input's.
    pub(super) fn new(ctx: &Context<'_>, key: Option<&str>) -> Result<Self, ApiError> {
        Ok(Self {
            app: Arc::clone(ctx.app()?),
            caller: ctx.caller()?.clone(),
            key: ctx.idempotency_key(key)?,
            _turn: ctx.data_opt::<Arc<Turn>>().cloned(),
        })
    }

    /// Takes one of the requests of the caller for which Stripe is asked.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] when the caller has none left; nothing is asked then.
    pub(super) async fn take_provider_request(&self) -> Result<(), ApiError> {
        self.app.provider_limiter.take(self.caller.user_id, 1).await
    }

    /// Does `work` in a task of its own: a client that hangs up cannot stop it half way, and a server that ends waits for it.
    pub(super) async fn to_its_end<T, E, F>(app: &App, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let task = app.tasks.spawn(work.in_current_span());
        task.await.map_err(ApiError::internal)?.map_err(Into::into)
    }

    /// Accepts a transaction by `work` and hands its job over to the workers of one of `queues`. `work` is told whether the job
    /// will be handed over from here; if not, a dispatcher finds it.
    pub(super) async fn accept<W, F>(
        self,
        queues: &[QueueName],
        work: W,
    ) -> Result<WalletTransaction, ApiError>
    where
        W: FnOnce(Self, bool) -> F + Send + 'static,
        F: Future<Output = Result<Accepted, AcceptError>> + Send,
    {
        let has_key = self.key.is_some();
        let accepted = self
            .pass_on(queues, work)
            .await
            .map_err(|error| error.with_key(has_key))?;
        metrics::counter!(ACCEPTED, "type" => accepted.kind().as_str()).increment(1);
        Ok(accepted)
    }

    /// As [`Call::accept`], for a job of a transaction that was accepted before; such a mutation takes no key.
    pub(super) async fn pass_on<W, F>(
        self,
        queues: &[QueueName],
        work: W,
    ) -> Result<WalletTransaction, ApiError>
    where
        W: FnOnce(Self, bool) -> F + Send + 'static,
        F: Future<Output = Result<Accepted, AcceptError>> + Send,
    {
        let (app, caller) = (Arc::clone(&self.app), self.caller.clone());
        let hand_over = queues.iter().all(|queue| app.hand_over.is_open(*queue));
        let accepted = Self::to_its_end(&app.clone(), async move {
            let accepted = Box::pin(work(self, hand_over)).await?;
            chaos::reach(Point::AcceptCommitSent).await;
            let (id, kind) = (
                accepted.transaction.id,
                accepted.transaction.transaction_type.as_str(),
            );
            let job = accepted.job.map(|(_, job)| job.0);
            tracing::info!(transaction_id = %id, kind, job, "accepted");
            if let Some((queue, job)) = accepted.job {
                app.hand_over.submit(queue, job);
            }
            chaos::reach(Point::AcceptBeforeAnswer).await;
            Ok::<_, AcceptError>(accepted.transaction)
        })
        .await?;
        Ok(WalletTransaction::alone(accepted, &caller))
    }
}
