//! The usual clients for JavaScript (graphql-ws) and Python (gql), in the versions that their lock files pin and as they are published. Where
//! one cannot be run, its test says so loudly and passes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::Command;
use wallet_dev::library::{Installation, Language, Library, cache_root, run};
use wallet_dev::pace;
use wallet_dev::say::complain;
use wallet_tests::TestApp;
use wallet_tests::system::Api;

/// How long the script may take; it needs a tenth of that.
const WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Restarts an API at the same address once the file exists.
async fn restarted(app: &TestApp, api: Api, file: &Path) -> Api {
    while !file.exists() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let address = api.address;
    api.stop().await;
    let listener = TcpListener::bind(address).await.unwrap();
    Api::start(&app.variables, app.clock.clone(), listener).await
}

/// Where a library is, unless this machine cannot have it.
async fn installed(library: &Library) -> Option<PathBuf> {
    match library.install(&cache_root(), &[]).await.unwrap() {
        Installation::Ready(packages) => Some(packages),
        Installation::Impossible(why) => {
            complain(&format!(
                "SKIPPED: {} was not run against the API: {why}",
                library.name
            ));
            None
        }
    }
}

/// Runs the library's script, for a person with 10.00 in a wallet.
async fn script(library: &Library, packages: &Path, app: &TestApp) -> Command {
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let mut script = library.script(packages);
    script
        .env("API", app.base())
        .env("TOKEN", &alice.token)
        .env("FROM", &hers)
        .env("TO", &his)
        // A proxy of the machine is not for us.
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usual_client_for_javascript_subscribes_leaves_fails_and_comes_back() {
    let library = Library {
        name: "graphql-ws",
        language: Language::Node,
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("websocket-client"),
    };
    let Some(packages) = installed(&library).await else {
        return;
    };
    let app = TestApp::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = Api::start(&app.variables, app.clock.clone(), listener).await;
    let folder = tempfile::tempdir().unwrap();
    let restart = folder.path().join("restart");
    let mut script = script(&library, &packages, &app).await;
    script
        .env("API", format!("http://{}", api.address))
        .env("RESTART", &restart);
    let within = WITHIN.mul_f64(pace::factor());
    let (ended, api) = {
        let mut running = std::pin::pin!(run(script, within));
        tokio::select! {
            ended = &mut running => {
                let told = ended.map_or_else(|| "no end".to_owned(), |ended| ended.output);
                panic!("it ended before the API was restarted: {told}");
            }
            api = restarted(&app, api, &restart) => (running.await, api),
        }
    };
    let ended = ended.expect("it comes to an end");
    assert!(ended.success, "{}", ended.output);
    complain(ended.output.trim_end());
    api.stop().await;
    app.finish().await;
}

/// It reads the protocol from a header of just this spelling: `Sec-WebSocket-Protocol`
/// (<https://github.com/graphql-python/gql/blob/v4.0.0/gql/transport/websockets_protocol.py#L481>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usual_client_for_python_subscribes_leaves_and_fails() {
    let library = Library {
        name: "gql",
        language: Language::Python,
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("python-client"),
    };
    let Some(packages) = installed(&library).await else {
        return;
    };
    let app = TestApp::start().await;
    let script = script(&library, &packages, &app).await;
    let ended = run(script, WITHIN.mul_f64(pace::factor()))
        .await
        .expect("it comes to an end");
    assert!(ended.success, "{}", ended.output);
    complain(ended.output.trim_end());
    app.finish().await;
}
