//! The attacker, in a process of its own. A real one runs on the attacker's machine; here it runs at the lowest priority, so
//! that the figures measure the wallet and not the attacker's own work.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::attacks::{ADDRESS, Attack, Target};
use crate::client::Client;
use crate::report::Line;

/// The pause after a failure, so that the attack does not starve itself.
const AFTER_FAILURE: Duration = Duration::from_millis(5);

/// A process that attacks until it is ended.
pub(super) struct Attacker(Child);

impl Attacker {
    /// Starts the attack in a process of the lowest priority.
    pub(super) fn begin(attack: Attack, target: &Target) -> Result<Self> {
        let child = Command::new("nice")
            .args(["-n", "19"])
            .arg(std::env::current_exe()?)
            .args(["attack", attack.name()])
            .arg(serde_json::to_string(target)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("nice")?;
        Ok(Self(child))
    }

    /// Ends the attack, and returns how often it got each kind of answer.
    pub(super) async fn end(mut self) -> Result<String> {
        drop(self.0.stdin.take());
        let mut told = String::new();
        if let Some(mut out) = self.0.stdout.take() {
            out.read_to_string(&mut told).await?;
        }
        let status = self.0.wait().await?;
        ensure!(status.success(), "the attacker ended by itself: {status}");
        Ok(told.trim().to_owned())
    }
}

/// Runs the attacker's process: attacks until its input ends, then reports how often it got each kind of answer.
pub(crate) async fn run(attack: Attack, target: &str) -> Result<Vec<Line>> {
    let target: Arc<Target> = Arc::new(serde_json::from_str(target)?);
    let client = Client::with_token(&target.base, &target.token, Some(ADDRESS))?;
    let counted: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    for number in 0..attack.at_once() {
        let (target, client, counted) = (Arc::clone(&target), client.clone(), Arc::clone(&counted));
        tokio::spawn(async move {
            loop {
                let answer = attack.once(number, &client, &target).await;
                let is_failure = answer.is_err();
                let answer = answer.unwrap_or_else(|_| "refused to connect".to_owned());
                *counted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(answer)
                    .or_default() += 1;
                if is_failure {
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        });
    }
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    let counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
    let told: Vec<String> = counted
        .iter()
        .map(|(answer, count)| format!("{count} {answer}"))
        .collect();
    Ok(vec![Line::note(told.join(", "))])
}
