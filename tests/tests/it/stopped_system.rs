//! The whole system as `bin/dev` starts it, stopped and started again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use wallet_dev::stack::{port, program};
use wallet_tests::app::id_of;
use wallet_tests::eventually;

/// How long the system may take to end.
const END_WITHIN: Duration = Duration::from_secs(30);

/// `wallet-dev` with nothing of this process's environment except where programs are.
fn wallet_dev(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program::find("wallet-dev").unwrap());
    command.args(args).env_clear().env("WALLET_DEV_DIR", folder);
    for name in ["PATH", "HOME"] {
        command.envs(std::env::var(name).map(|value| (name, value)));
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A running system, and the token of one person.
struct Running {
    process: Child,
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Running {
    async fn start(folder: &Path) -> Self {
        let port = port::free().unwrap().to_string();
        let log = std::fs::File::create(folder.join("up.log")).unwrap();
        let process = wallet_dev(folder, &["up", "--port", &port])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        eventually("the system to be ready", async || {
            let answer = http.get(format!("{url}/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        let token = wallet_dev(folder, &["token"]).output().await.unwrap();
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        Self {
            process,
            http,
            url,
            token,
        }
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let answer = self
            .http
            .post(format!("{}/graphql", self.url))
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(json!({ "query": query, "variables": variables }).to_string())
            .send()
            .await
            .unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone()
    }

    /// Pays 10.00 in by a card.
    async fn pay_in(&self, wallet: &str) {
        let deposit = "mutation($w: String!) { deposit(walletId: $w, input: { amount: \"10.00\", stripePaymentMethodId: \"pm_card_visa\" }) { id } }";
        let id = id_of(&self.ask(deposit, json!({ "w": wallet })).await);
        eventually("the deposit to end", async || {
            let query = "query($t: String!) { transaction(id: $t) { status failureReason } }";
            let now = self.ask(query, json!({ "t": id })).await;
            assert_ne!(now["status"], "FAILED", "{now}");
            now["status"] == "COMPLETED"
        })
        .await;
    }

    /// Ends it as Ctrl-C does.
    async fn stop(mut self) {
        let pid = i32::try_from(self.process.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
        let ended = tokio::time::timeout(END_WITHIN, self.process.wait()).await;
        assert!(ended.unwrap().unwrap().success());
    }
}

/// The simulator remembers the person's customer: a deposit of the second day is created for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_that_is_stopped_and_started_again_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL runs as another user when this one is root.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let system = Running::start(folder.path()).await;
    let create = "mutation { createWallet(input: { currency: \"usd\" }) { id } }";
    let wallet = id_of(&system.ask(create, json!({})).await);
    system.pay_in(&wallet).await;
    system.stop().await;
    let system = Running::start(folder.path()).await;
    system.pay_in(&wallet).await;
    let balance = "query($w: String!) { wallet(id: $w) { balance } }";
    assert_eq!(
        system.ask(balance, json!({ "w": wallet })).await["balance"],
        "20.00"
    );
    system.stop().await;
}
