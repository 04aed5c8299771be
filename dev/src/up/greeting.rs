//! The text printed when the system runs: addresses, a token, and a first request to paste.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Running;
use crate::stack::Home;
use crate::stack::record::Record;
use crate::token::{self, Role};

/// How long the token in the greeting is valid.
const TTL: Duration = Duration::from_secs(12 * 3600);

/// Returns addresses, token and first request.
pub(super) fn greeting(running: &Running) -> Result<String> {
    let (api, worker) = (running.stack().api_base(), running.stack().worker_base());
    let stripe = running.stack().simulator.as_ref().map_or_else(
        || "Stripe      the real one (test mode)".to_owned(),
        |simulator| {
            format!(
                "Simulator   {}  (control: /_control/…, dev/stripe-simulator/README.md)",
                simulator.base()
            )
        },
    );
    let user = running.secrets().user;
    let token = token::issue(&running.secrets().jwt_secret, user, Role::User, TTL)?;
    let logs = running.home().folder().join("logs");
    let dir = Home::argument(running.home().folder());
    Ok(format!(
        r#"
It runs. Ctrl-C stops it.

  GraphQL     {api}/graphql  (subscriptions: {api}/graphql/ws)
  GraphiQL    {api}/graphql  in a browser
  {stripe}
  Metrics     {api}/metrics  {worker}/metrics
  Database    eval "$(bin/dev env{dir})"; psql "$DATABASE_URL"
  Logs        {logs}/

A token of user {user}, valid for 12 h (others: bin/dev token{dir} --help):

{token}

A first request:

curl -sS {api}/graphql -H 'Content-Type: application/json' -H 'Authorization: Bearer {token}' -d '{{"query":"mutation {{ createWallet(input: {{currency: \"usd\"}}) {{ id currency balance }} }}"}}'
"#,
        logs = logs.display(),
    ))
}

/// Returns the message for a second start in the same folder.
pub(super) fn already_running(folder: &Path, record: Option<&Record>) -> String {
    let mut text = format!("A stack runs already in {}", folder.display());
    if let Some(record) = record {
        let pid = record.supervisor.pid;
        let _ = match &record.addresses {
            Some(addresses) => write!(
                text,
                ": {}/graphql (process {pid}). Stop it with Ctrl-C there, or kill {pid}.",
                addresses.api
            ),
            None => write!(text, " (process {pid}, still starting)."),
        };
    }
    text
}
