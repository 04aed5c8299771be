//! Slows down the refusals of a person who sends too many requests.

use std::sync::Arc;
use std::time::Duration;

use wallet_core::ids::UserId;

use super::Shares;

/// How long the answer to a request beyond a limit takes. A client that has stopped does not notice it; one that tries again at once,
/// on many connections, is answered less often.
const ANSWERED_AFTER: Duration = Duration::from_millis(250);
/// The maximum number of refusals that are held back, in total and for one person.
const MOST: usize = 4_096;
const MOST_OF_PERSON: usize = 256;

/// The refusals that are held back.
#[derive(Debug)]
pub(crate) struct Refusals(Arc<Shares<UserId>>);

impl Refusals {
    pub(crate) fn new() -> Self {
        Self(Shares::new(MOST, MOST_OF_PERSON))
    }

    /// Holds a refusal back for a moment, unless too many are held back already.
    pub(crate) async fn slow_down(&self, person: UserId) {
        if let Ok(_place) = self.0.take(person) {
            tokio::time::sleep(ANSWERED_AFTER).await;
        }
    }
}
