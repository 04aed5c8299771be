//! I23: neither the logs nor the metrics of any process contain a secret or a personal detail.

use std::time::Duration;

use anyhow::Result;

use crate::load::SENDER;
use crate::programs::Program;
use crate::world::World;

/// Logs that are not ours: the simulator may log anything.
const OTHERS: [&str; 1] = ["simulator.log"];

/// The prefixes of Stripe's keys, of whatever account.
const KEYS: [&str; 5] = ["sk_test_", "sk_live_", "rk_test_", "rk_live_", "whsec_"];

/// Searches all logs and metrics.
pub(super) async fn check(world: &World) -> Result<()> {
    let secrets = &world.secrets;
    let known = [
        ("the key of Stripe", secrets.stripe_key.as_str()),
        (
            "the secret of the platform's events",
            secrets.webhook_platform.as_str(),
        ),
        ("the secret of connected events", secrets.webhook_connect.as_str()),
        ("the encryption key", secrets.encryption_key.as_str()),
        ("the JWT secret", secrets.jwt_secret.as_str()),
        ("a sender's name", SENDER.name),
        ("a sender's IBAN", SENDER.iban),
    ];
    let mut found = Vec::new();
    for file in std::fs::read_dir(world.folder())? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with(".log") && !OTHERS.contains(&name.as_str()) {
            let text = String::from_utf8_lossy(&std::fs::read(file.path())?).into_owned();
            found.extend(secrets_in(&name, &text, &known));
        }
    }
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()?;
    for member in &world.members {
        let port = match member.program() {
            Program::Api => "PORT",
            Program::Worker => "METRICS_PORT",
        };
        let Some(port) = member.env().get(port) else {
            continue;
        };
        let url = format!("http://127.0.0.1:{port}/metrics");
        match client.get(url).send().await {
            Ok(answer) => {
                let place = format!("the metrics of {}", member.name());
                found.extend(secrets_in(&place, &answer.text().await?, &known));
                world.tally.count("metrics searched for secrets", 1);
            }
            Err(_) => world.tally.count("metrics that could not be read", 1),
        }
    }
    world
        .tally
        .checked("I23 no secret is in a log or in metrics", found);
    Ok(())
}

/// Describes which secret is where; never the secret itself, which would then be in the report.
fn secrets_in(place: &str, text: &str, known: &[(&'static str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1_usize..) {
        let told = known
            .iter()
            .filter(|(_, secret)| !secret.is_empty() && line.contains(secret))
            .map(|(what, _)| *what);
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        let shaped = line.split(|letter| !is_word(letter)).filter_map(secret_of_shape);
        found.extend(
            told.chain(shaped)
                .map(|what| format!("{place}, line {number}: {what}")),
        );
    }
    found
}

/// Returns the kind of secret that a word is by its shape, if it is one.
fn secret_of_shape(word: &str) -> Option<&'static str> {
    let is_token = word.starts_with("eyJ") && word.len() > 40 && word.matches('.').count() == 2;
    if word.contains("_secret_") && (word.starts_with("pi_") || word.starts_with("seti_")) {
        Some("a client secret")
    } else if KEYS
        .iter()
        .any(|key| word.starts_with(key) && word.len() > key.len() + 4)
    {
        Some("a key of Stripe's")
    } else if is_token {
        Some("a token")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_not_told() {
        let token = format!("eyJ{}.{}.abc_-9", "a".repeat(30), "b".repeat(30));
        let text = format!(
            "{{\"m\":\"all is well\"}}\n{{\"s\":\"pi_3Nx_secret_Ab1\"}}\nBearer {token}\nkey=whsec_abcdef123\niban DE1 x\n"
        );
        let found = secrets_in("api.log", &text, &[("an IBAN", "DE1")]);
        assert_eq!(
            found,
            [
                "api.log, line 2: a client secret",
                "api.log, line 3: a token",
                "api.log, line 4: a key of Stripe's",
                "api.log, line 5: an IBAN",
            ]
        );
        assert!(secrets_in("api.log", "pi_3Nx sk_test_*** encrypted_client_secret_x", &[]).is_empty());
    }
}
