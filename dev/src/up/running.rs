//! The whole system running in a folder: servers, payments, API and worker, with the record that lets other programs find it.

use anyhow::{Result, bail};

use super::UpOptions;
use super::greeting;
use crate::stack::record::{self, Addresses, Locking, ProcessNote, Record};
use crate::stack::{
    Home, Payments, Process, Progress, Secrets, SimulatorOptions, Stack, StackOptions, port,
    stripe_from_shell,
};

/// The usual ports, used if they are free.
const API_PORT: u16 = 8080;
const METRICS_PORT: u16 = 9090;
const SIMULATOR_PORT: u16 = 12_111;

/// The number of lines of a crashed program's log that are shown.
const LAST_WORDS: usize = 25;

/// The running system. Dropping it stops it at once; [`Self::stop`] stops it in an orderly way.
pub struct Running {
    // In the order in which they are stopped: programs before what they use.
    worker: Process,
    api: Process,
    stack: Stack,
    home: Home,
    secrets: Secrets,
}

/// Returns the arguments for a platform that has funds of its own, as one in business has, and whose new connected accounts are ready at once.
/// The simulator's state is kept, so that after a restart it still has the people, cards and accounts that PostgreSQL names.
fn simulator_args(home: &Home) -> Vec<String> {
    let balances =
        ["usd", "eur", "gbp", "cad", "aud", "jpy"].map(|currency| format!("--balance={currency}=100000000"));
    let settings = r#"--settings={"accounts_ready": true}"#.to_owned();
    let state = format!("--state={}", home.stripe_state_file().display());
    balances.into_iter().chain([settings, state]).collect()
}

impl Running {
    /// Locks the folder and starts everything in it.
    ///
    /// # Errors
    /// When a stack runs there already, or something does not start.
    pub async fn start(options: &UpOptions, progress: &Progress) -> Result<Self> {
        let home = Home::new(&options.folder)?;
        if let Locking::Taken(record) = record::lock(&home.lock_file(), &home.record_file())? {
            bail!("{}", greeting::already_running(home.folder(), record.as_deref()));
        }
        let api_port = port::asked_for(options.port, API_PORT)?;
        let webhook_url = format!("http://127.0.0.1:{api_port}/wallet/webhook");
        let own = Secrets::load(&home.secrets_file())?;
        let payments = match stripe_from_shell(&webhook_url, own.as_ref())? {
            Some(stripe) => stripe,
            None => Payments::Simulator(SimulatorOptions {
                port: Some(port::prefer(SIMULATOR_PORT)?),
                effect_log: Some(home.folder().join("stripe-effects.jsonl")),
                args: simulator_args(&home),
            }),
        };
        // From here on the next run can recognise that this one died.
        let mut note = Record {
            supervisor: ProcessNote::of_this_program(),
            addresses: None,
            processes: Vec::new(),
            env: Default::default(),
        };
        note.save(&home.record_file())?;

        let secrets = Secrets::load_or_create(&home.secrets_file())?;
        let mut stack = Stack::start(StackOptions {
            folder: Some(home.folder().to_owned()),
            secrets: secrets.clone(),
            payments,
            api_port: Some(api_port),
            metrics_port: Some(port::prefer(METRICS_PORT)?),
            progress: progress.clone(),
        })
        .await?;
        note.processes = stack
            .processes_mut()
            .map(|process| ProcessNote::of(process))
            .collect();
        note.save(&home.record_file())?;

        stack.migrate().await?;
        let api = stack.start_api().await?;
        let worker = stack.start_worker().await?;
        note.processes
            .extend([ProcessNote::of(&api), ProcessNote::of(&worker)]);
        note.env = stack.env().clone();
        note.addresses = Some(Addresses {
            api: stack.api_base().to_owned(),
            worker: stack.worker_base().to_owned(),
            simulator: stack
                .simulator
                .as_ref()
                .map(|simulator| simulator.base().to_owned()),
        });
        note.save(&home.record_file())?;
        Ok(Self {
            worker,
            api,
            stack,
            home,
            secrets,
        })
    }

    /// Returns the stack on which the programs run.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Returns the folder of everything.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Returns its secrets.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Waits until a process ends by itself; returns its name and the end of its log.
    ///
    /// # Errors
    /// When the system does not report it.
    pub async fn crash(&mut self) -> Result<String> {
        loop {
            for process in self
                .stack
                .processes_mut()
                .chain([&mut self.api, &mut self.worker])
            {
                if let Some(status) = process.try_wait()? {
                    let (log, last) = (process.log().display(), process.log_tail(LAST_WORDS).join("\n"));
                    return Ok(format!(
                        "{} ended ({status}). The end of {log}:\n{last}",
                        process.name()
                    ));
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// Stops everything in an orderly way: worker and API finish their running work.
    ///
    /// # Errors
    /// When the system does not report how one of them ended.
    pub async fn stop(mut self) -> Result<()> {
        tokio::try_join!(self.worker.stop(), self.api.stop())?;
        self.stack.stop().await?;
        let _ = std::fs::remove_file(self.home.record_file());
        Ok(())
    }
}
