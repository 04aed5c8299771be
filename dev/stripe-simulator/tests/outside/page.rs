//! Every command of the simulator's page works as it stands there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The shell's commands in the page, with continued lines joined.
fn commands() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap().replace("\\\n", " "));
    blocks
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.trim().is_empty())
        .collect()
}

/// The simulator as the page starts it, on a free port and in a folder of its own.
struct Started {
    url: String,
    folder: PathBuf,
    _program: Child,
    client: reqwest::Client,
}

impl Started {
    async fn by(command: &str, folder: &Path) -> Self {
        let program = env!("CARGO_BIN_EXE_stripe-simulator");
        let command = command
            .replace(
                "cargo run -p wallet-stripe-simulator --",
                &format!("exec '{program}'"),
            )
            .replace("--port 12111", "--port 0")
            // Nobody is there; on 8080 there might be.
            .replace("127.0.0.1:8080", "127.0.0.1:1");
        assert!(
            command.starts_with("exec") && command.contains("--port 0"),
            "{command}"
        );
        let mut program = Command::new("bash");
        program.args(["-c", &command]).current_dir(folder);
        program
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut program = program.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        let first = first.unwrap().unwrap().unwrap();
        let url = first.split_whitespace().find(|word| word.starts_with("http://"));
        Self {
            url: url.unwrap().to_owned(),
            folder: folder.to_owned(),
            _program: program,
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
        }
    }

    /// What a command of the page says.
    async fn said(&self, command: &str) -> Value {
        let script = format!("set -e\nS={}\nC=\"curl -s $S/_control\"\n{command}", self.url);
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).current_dir(&self.folder);
        bash.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        let output = bash.kill_on_drop(true).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}\n{said}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{command}\n{said}\n{error}"))
    }

    async fn control(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}/_control/{path}", self.url));
        answered(request.json(&body)).await
    }

    async fn form(&self, path: &str, account: Option<&str>, form: &[(&str, &str)]) -> Value {
        let mut request = self.client.post(format!("{}/v1/{path}", self.url)).form(form);
        if let Some(account) = account {
            request = request.header("stripe-account", account);
        }
        answered(request.bearer_auth("sk_test_1")).await
    }

    async fn intent(&self, method: Option<&str>) -> String {
        let mut form = vec![("amount", "5000"), ("currency", "usd")];
        if let Some(method) = method {
            form.extend([("payment_method", method), ("confirm", "true")]);
        }
        id(&self.form("payment_intents", None, &form).await)
    }

    async fn account(&self) -> String {
        id(&self.control("accounts", json!({})).await)
    }

    /// Makes the object that a command of the page is about, in the state that it needs.
    async fn object_for(&self, placeholder: &str, command: &str) -> String {
        let method = match command {
            _ if command.contains("/confirm") || command.contains("/receive") => None,
            _ if command.contains("/authenticate") || command.contains("/action") => {
                Some("pm_card_authenticationRequired")
            }
            _ if command.contains("/settle") => Some("pm_usBankAccount_processing"),
            _ => Some("pm_card_visa"),
        };
        match placeholder {
            "pi_1" => self.intent(method).await,
            "acct_1" => self.account().await,
            "evt_1" => id(&self
                .control("events", json!({ "type": "a.b", "object": {} }))
                .await),
            "re_1" => {
                let intent = self.intent(method).await;
                id(&self.form("refunds", None, &[("payment_intent", &intent)]).await)
            }
            "du_1" => {
                let intent = self.intent(method).await;
                id(&self
                    .control("disputes", json!({ "payment_intent": intent }))
                    .await)
            }
            "tr_1" => {
                self.control("balance/top_up", json!({ "amount": 5000 })).await;
                let account = self.account().await;
                let form = [("amount", "500"), ("currency", "usd"), ("destination", &account)];
                id(&self.form("transfers", None, &form).await)
            }
            "po_1" => {
                let account = self.account().await;
                self.control("balance/top_up", json!({ "amount": 5000, "account": account }))
                    .await;
                let form = [("amount", "500"), ("currency", "usd")];
                id(&self.form("payouts", Some(&account), &form).await)
            }
            other => panic!("{other}: {command}"),
        }
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_command_of_the_simulator_s_page_works() {
    let folder = tempfile::tempdir().unwrap();
    let commands = commands();
    let mut commands = commands.iter();
    let stripe = Started::by(commands.next().unwrap(), folder.path()).await;
    let mut carried_out = 0;
    for command in commands {
        if command.starts_with("S=") || command.starts_with("C=") {
            continue;
        }
        let mut command = command.replace("127.0.0.1:8080", "127.0.0.1:1");
        for placeholder in ["pi_1", "acct_1", "evt_1", "re_1", "du_1", "tr_1", "po_1"] {
            // An effect's object is only a filter.
            if command.contains(placeholder) && !command.contains("/effects") {
                let id = stripe.object_for(placeholder, &command).await;
                command = command.replace(placeholder, &id);
            }
        }
        let said = stripe.said(&command).await;
        assert!(said.get("error").is_none(), "{command}\n{said}");
        carried_out += 1;
    }
    assert!(carried_out > 25, "only {carried_out} commands were found");
    let log = fs::read_to_string(folder.path().join("effects.jsonl")).unwrap();
    assert!(log.lines().count() > 10, "{log}");
}
