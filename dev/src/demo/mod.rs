//! `wallet-dev demo`: one whole story against the running system, through its public API, with every balance checked to the cent.

mod client;
mod story;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use uuid::Uuid;

use crate::say::say;
use crate::token::{self, Role};
use crate::up::{self, Ended, UpOptions};

use client::{Api, Payments};
use story::Cast;

/// How long the tokens of the people in the story are valid.
const TTL: Duration = Duration::from_secs(3_600);

/// Starts the system, plays the story and stops it again.
///
/// # Errors
/// Names the step that failed, or what did not start.
pub async fn demo(options: &UpOptions) -> Result<()> {
    say("Starting the system");
    let ended = up::session(options, async |running| {
        let Some(simulator) = &running.stack().simulator else {
            bail!("the demonstration plays payers and banks itself, so it needs the simulator: unset STRIPE_SECRET_KEY");
        };
        let payments = Payments::new(simulator.base())?;
        let secret = &running.secrets().jwt_secret;
        let person = |id: Uuid| -> Result<Api> {
            let token = token::issue(secret, id, Role::User, TTL)?;
            Api::new(running.stack().api_base(), token)
        };
        let (ada, ben) = (person(Uuid::now_v7())?, person(Uuid::now_v7())?);
        let cast = Cast { ada, ben, payments };
        story::play(cast).await.context("the story did not go as it should")
    })
    .await?;
    match ended {
        Ended::Done => Ok(()),
        Ended::Interrupted => bail!("interrupted before the end of the story"),
    }
}
