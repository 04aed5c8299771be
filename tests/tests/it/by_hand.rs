//! Every request that the README and docs/by-hand.md tell people to paste works as written there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;
use wallet_dev::stack::{Secrets, program};
use wallet_tests::TestApp;
use wallet_tests::app::{Options, id_of};
use wallet_tests::system::STRIPE_KEY;

/// How long a whole page may take.
const WITHIN: Duration = Duration::from_secs(120);

/// Precedes the output of each block.
const MARK: &str = "@@@ next block @@@";

/// Begins a line of a block that says what its answers contain.
const EXPECTED: &str = "#=> ";

/// What the answer to a failed request contains.
const REFUSALS: &[&str] = &[
    "\"errors\":[{",
    "\"error\":\"",
    "\"error\":{",
    "curl: ",
    "not found",
    "wallet-dev: ",
];

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The shell's blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    page.split("```sh\n")
        .skip(1)
        .map(|block| block.split("\n```").next().unwrap().to_owned())
        .collect()
}

/// What a block says that its answers contain.
fn expected(block: &str) -> Vec<&str> {
    block
        .lines()
        .filter_map(|line| line.strip_prefix(EXPECTED))
        .collect()
}

/// What is wrong with the answers of a block: a refusal, or an expected text that is missing at its place.
fn complaint(block: &str, said: &str) -> Option<String> {
    let words = expected(block);
    if words.is_empty() {
        return Some("does not say what it answers".to_owned());
    }
    if let Some(refusal) = REFUSALS.iter().find(|refusal| said.contains(**refusal)) {
        return Some(format!("was refused: {refusal}"));
    }
    let mut rest = said;
    for words in words {
        match rest.split_once(words) {
            Some((_, after)) => rest = after,
            None => return Some(format!("should say `{words}`")),
        }
    }
    None
}

/// A system whose tokens come from `bin/dev`, in a folder of its own.
struct Desk {
    app: TestApp,
    folder: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::load_or_create(&folder.path().join("secrets.json")).unwrap();
        let dev = folder.path().join("bin/dev");
        fs::create_dir(folder.path().join("bin")).unwrap();
        let program = program::find("wallet-dev").unwrap();
        fs::write(&dev, format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display())).unwrap();
        fs::set_permissions(&dev, fs::Permissions::from_mode(0o755)).unwrap();
        let app = TestApp::with(Options {
            variables: vec![("JWT_SECRET", secrets.jwt_secret.clone())],
            ..Options::default()
        })
        .await;
        Self { app, folder }
    }

    fn bash(&self, script: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("exec 2>&1\n{script}")])
            .current_dir(self.folder.path())
            .env("WALLET_DEV_DIR", self.folder.path())
            .env("no_proxy", "127.0.0.1")
            .env_remove("JWT_SECRET")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        bash
    }

    /// Pastes the blocks into one shell, with the addresses of this system, and returns the output of each.
    async fn paste(&self, blocks: &[String]) -> Vec<String> {
        let script = blocks
            .iter()
            .map(|block| format!("echo '{MARK}'\n{block}\n"))
            .collect::<String>()
            .replace("http://127.0.0.1:8080", self.app.base())
            .replace("http://127.0.0.1:12111", &self.app.stripe.url())
            // This simulator takes no other.
            .replace("sk_test_anything", STRIPE_KEY);
        let file = self.folder.path().join("said");
        let mut bash = self.bash(&script);
        bash.stdout(fs::File::create(&file).unwrap());
        let ended = tokio::time::timeout(WITHIN, bash.status()).await;
        let said = fs::read_to_string(&file).unwrap();
        assert!(ended.is_ok(), "the page does not come to its end: {said}");
        let parts: Vec<String> = said.split(MARK).skip(1).map(str::to_owned).collect();
        assert_eq!(parts.len(), blocks.len(), "{said}");
        parts
    }

    /// Pastes the blocks and checks that each is answered as it promises.
    async fn works(&self, blocks: &[String]) {
        for (block, said) in blocks.iter().zip(self.paste(blocks).await) {
            if let Some(complaint) = complaint(block, &said) {
                panic!("{block}\n{complaint}, and says\n{said}");
            }
        }
    }
}

/// Whether the Node.js of this machine has websockets.
async fn has_websocket() -> bool {
    let mut node = Command::new("node");
    node.args(["--experimental-websocket", "-e", "WebSocket"])
        .stdin(Stdio::null());
    node.output().await.is_ok_and(|output| output.status.success())
}

#[test]
fn an_expected_word_that_is_missing_or_at_another_place_is_noticed() {
    let block = "curl one two\n#=> \"a\":1\n#=> \"b\":2";
    let told = |said| complaint(block, said);
    assert_eq!(told("{\"a\":1}\n{\"b\":2}"), None);
    assert_eq!(told("{\"a\":1}\n{\"b\":3}").unwrap(), "should say `\"b\":2`");
    assert_eq!(told("{\"b\":2}\n{\"a\":1}").unwrap(), "should say `\"b\":2`");
    assert_eq!(
        told("{\"a\":1,\"b\":2,\"errors\":[{}]}").unwrap(),
        "was refused: \"errors\":[{"
    );
    assert!(complaint("curl one two", "{\"a\":1}").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "tells what was not tried")]
async fn every_request_of_the_page_of_flows_works_and_every_mutation_has_one() {
    let mut blocks = blocks(&file("docs/by-hand.md"));
    let schema = file("api/schema.graphql");
    let mutations = schema.split_once("type Mutation {").unwrap().1;
    let names: Vec<&str> = mutations
        .split("\n}")
        .next()
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.strip_prefix('\t')?.split_once('(')?.0))
        .filter(|name| name.chars().all(char::is_alphanumeric))
        .collect();
    assert!(names.contains(&"onboardPayouts"), "{names:?}");
    for name in names {
        let call = format!("{{ {name}(");
        assert!(
            blocks.iter().any(|block| block.contains(&call)),
            "no request shows {name}"
        );
    }
    if !has_websocket().await {
        println!("SKIPPED: watching by websocket, for which Node.js 20.10 or newer is needed");
        // What it sends goes all the same: later amounts rely on it.
        for block in &mut blocks {
            let before = block.split_once("\nTOKEN=$ADA ID=");
            if let Some((before, _)) = before {
                *block = format!("{before}\nended \"$ADA\" \"$SENT\"\n{EXPECTED}COMPLETED");
            }
        }
    }
    let desk = Desk::new().await;
    desk.works(&blocks).await;
    desk.app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_the_readme_work() {
    let mut blocks = blocks(&file("README.md"));
    // How to start the system; here it runs.
    blocks.retain(|block| !block.starts_with("bin/dev "));
    assert_eq!(blocks.len(), 3, "{blocks:?}");
    blocks[0] += &format!("\n{EXPECTED}\"balance\":\"0.00\",\"currency\":\"usd\"");
    // The second pays a deposit whose intent and secret are at hand.
    let deposit = "mutation($w: String!) { deposit(walletId: $w, input: {amount: \"10.00\"}) { id } }";
    blocks[1] += &format!("\n{EXPECTED}\"status\":\"succeeded\"");
    blocks[2] += &format!("\n{EXPECTED}\"type\":\"express\"");
    let desk = Desk::new().await;
    let token = desk.bash("bin/dev token").output().await.unwrap();
    let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
    let ask = async |query: &str, variables: serde_json::Value| {
        let body = json!({ "query": query, "variables": variables });
        desk.app.post(Some(&token), &body, &[]).await.data()
    };
    let made = ask(
        "mutation { createWallet(input: {currency: \"usd\"}) { id userId } }",
        json!({}),
    )
    .await;
    let (wallet, user) = (id_of(&made), made["userId"].as_str().unwrap().to_owned());
    let deposit = id_of(&ask(deposit, json!({ "w": wallet })).await);
    desk.app.at_stage(&deposit, "awaiting_payment").await;
    let secret = "query($t: String!) { transaction(id: $t) { stripePaymentIntentId clientSecret } }";
    let waiting = ask(secret, json!({ "t": deposit })).await;
    let [intent, secret] =
        ["stripePaymentIntentId", "clientSecret"].map(|name| waiting[name].as_str().unwrap());
    blocks[0].insert_str(
        0,
        &format!("INTENT={intent} CLIENT_SECRET={secret} USER_ID={user}\n"),
    );
    desk.works(&blocks).await;
    desk.app.at_stage(&deposit, "completed").await;
    desk.app.finish().await;
}
