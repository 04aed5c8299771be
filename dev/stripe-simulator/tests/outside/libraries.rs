//! Stripe's official libraries for Node.js and Python, in the versions that their lock files pin and as they are published, run
//! against the simulator. Where one cannot be run, the test says so loudly and passes.

use std::path::Path;
use std::time::Duration;

use wallet_dev::library::{Installation, Language, Library, cache_root, run};
use wallet_dev::say::complain;
use wallet_stripe_simulator::{SimulatorConfig, start};

/// How long a script may take; it needs a tenth of that.
const WITHIN: Duration = Duration::from_secs(90);

fn library(language: Language) -> Library {
    let (name, folder) = match language {
        Language::Node => ("stripe-node", "clients/node"),
        Language::Python => ("stripe-python", "clients/python"),
    };
    Library {
        name,
        language,
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
    }
}

/// Runs a library's script against a simulator of its own and shows what it says.
async fn run_through(language: Language) {
    let library = library(language);
    let packages = match library.install(&cache_root(), &[]).await.unwrap() {
        Installation::Ready(packages) => packages,
        Installation::Impossible(why) => {
            complain(&format!(
                "SKIPPED: {} was not run against the simulator: {why}",
                library.name
            ));
            return;
        }
    };
    let config = SimulatorConfig {
        opening_balance: vec![("usd".to_owned(), 1_000_000)],
        ..SimulatorConfig::default()
    };
    let simulator = start(config).await.unwrap();
    let mut script = library.script(&packages);
    // A proxy of the machine is not for us.
    script
        .env("STRIPE_BASE", simulator.url())
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    let ended = run(script, WITHIN).await;
    simulator.shutdown().await;
    let Some(ended) = ended else {
        panic!("{} does not come to an end", library.name);
    };
    assert!(ended.success, "{}", ended.output);
    complain(ended.output.trim_end());
}

#[tokio::test]
async fn stripe_s_library_for_node_works_against_the_simulator() {
    run_through(Language::Node).await;
}

#[tokio::test]
async fn stripe_s_library_for_python_works_against_the_simulator() {
    run_through(Language::Python).await;
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached_is_told_and_is_no_failure() {
    let empty = tempfile::tempdir().unwrap();
    let nowhere = "http://127.0.0.1:1/";
    let cache = empty.path().join("npm").display().to_string();
    let node = [
        ("npm_config_registry", nowhere),
        ("npm_config_fetch_retries", "0"),
        ("npm_config_cache", cache.as_str()),
    ];
    let python = [
        ("PIP_CONFIG_FILE", "/dev/null"),
        ("PIP_FIND_LINKS", ""),
        ("PIP_INDEX_URL", nowhere),
        ("PIP_NO_CACHE_DIR", "1"),
        ("PIP_RETRIES", "0"),
    ];
    for (language, env) in [(Language::Node, &node[..]), (Language::Python, &python[..])] {
        let library = library(language);
        if let Err(missing) = language.tools().await {
            complain(&format!("SKIPPED: {}: {missing}", library.name));
            continue;
        }
        match library.install(empty.path(), env).await.unwrap() {
            Installation::Impossible(why) => assert!(why.contains("cannot be reached"), "{why}"),
            Installation::Ready(folder) => panic!("{} came from nowhere", folder.display()),
        }
        assert!(
            !library.home(empty.path()).unwrap().exists(),
            "nothing half done is left"
        );
    }
}
