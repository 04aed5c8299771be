//! F45: bad configurations are refused at the start, in one line that names the variable.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use wallet_dev::stack::{Env, ProcessSpec};

use super::Stage;
use crate::programs::{self, Program};
use crate::tally::Tally;
use crate::world::Wanted;

/// The exit code for a bad configuration.
const REFUSED: i32 = 78;

/// The program, the variable, and its bad value.
const BAD: [(Program, &str, &str); 14] = [
    (Program::Api, "STRIPE_WEBHOOK_SECRET", ""),
    (Program::Api, "STRIPE_WEBHOOK_SECRET", "change-me"),
    (Program::Api, "JWT_SECRET", "short"),
    (Program::Api, "JWT_SECRET", ""),
    (Program::Api, "STRIPE_SECRET_KEY", "sk_live_9dQ2mZ7xK4vB1nR8"),
    (Program::Api, "STRIPE_API_BASE", "http://api.example.com"),
    (
        Program::Api,
        "ENCRYPTION_SECRET_KEY",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ),
    (Program::Api, "DATABASE_URL", "mysql://root@127.0.0.1/wallet"),
    (Program::Worker, "STRIPE_SECRET_KEY", "pk_test_9dQ2mZ7xK4vB1nR8"),
    (Program::Worker, "STRIPE_SECRET_KEY", "sk_live_9dQ2mZ7xK4vB1nR8"),
    (Program::Worker, "STRIPE_API_BASE", "http://10.0.0.1:12111"),
    (Program::Worker, "ENCRYPTION_SECRET_KEY", "abc"),
    (
        Program::Worker,
        "REDLOCK_URLS",
        "redis://127.0.0.1:1/,redis://127.0.0.1:1/",
    ),
    (Program::Worker, "WORKER_CONCURRENCY", "0"),
];

pub(super) async fn play(folder: &Path, tally: &Tally) -> Result<String> {
    let stage = Stage::set(folder, tally, Wanted::default(), 0).await?;
    for (number, (program, name, value)) in BAD.into_iter().enumerate() {
        let members = stage.world.members(program);
        let env: Env = members
            .first()
            .context("no such program")?
            .env()
            .clone()
            .with(name, value);
        let log = folder.join(format!("bad-{number}.log"));
        let mut running = ProcessSpec::new(name, &programs::file()?, &log)
            .env(env)
            .spawn()?;
        let ended = running.wait(Duration::from_secs(20)).await?;
        let code = ended.and_then(|status| status.code());
        let said = running.log_tail(3).join(" ");
        ensure!(
            code == Some(REFUSED),
            "{} with {name}={value} ended as {code:?}: {said}",
            program.name()
        );
        ensure!(
            said.contains(name),
            "{} with a bad {name} does not say so: {said}",
            program.name()
        );
        ensure!(
            value.len() < 6 || !said.contains(value) || !name.contains("SECRET"),
            "the value of {name} was printed"
        );
    }
    stage.strike(0).await?;
    Ok(format!("{} configurations were refused", BAD.len()))
}
