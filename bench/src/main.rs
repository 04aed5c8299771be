//! `bin/bench`: measures the whole system, with real servers and release builds, against the figures it promises.
//!
//! Each benchmark starts its own stack (PostgreSQL with fsync, queue and lock nodes, simulator), runs its load through the public API and
//! prints its figures beside their bars. The machine's noise is not the system's: compare figures of one run only.
#![expect(
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    reason = "a measuring tool lives by the wall clock and reports rounded figures"
)]

mod backlog;
mod client;
mod documents;
mod fairness;
mod flush;
mod latency;
mod memory;
mod report;
mod system;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use wallet_dev::say::{complain, say};

/// Measures the system on this machine.
#[derive(Parser)]
#[command(name = "bin/bench", version)]
struct Arguments {
    /// The benchmark to run; all of them by default.
    #[command(subcommand)]
    which: Option<Which>,
}

#[derive(Subcommand, Clone)]
enum Which {
    /// From sending the mutation until a 5 ms poll shows COMPLETED, one transfer at a time on an idle system.
    Latency {
        /// The number of transfers.
        #[arg(long, default_value_t = 1_000)]
        samples: usize,
    },
    /// Many transfers queued while no worker runs, then one worker: time to finish, and what is left in Redis.
    Backlog {
        /// The number of transfers.
        #[arg(long, default_value_t = 20_000)]
        transfers: usize,
    },
    /// FLUSHALL on the queue node while jobs wait: time until all have finished.
    Flush {
        /// The number of waiting transfers.
        #[arg(long, default_value_t = 1_000)]
        transfers: usize,
    },
    /// Resident memory of API and worker after many requests.
    Memory {
        /// The number of requests.
        #[arg(long, default_value_t = 10_000)]
        requests: usize,
    },
    /// Processor time of measuring a document of up to 64 KiB: the worst of many hostile ones. Needs no servers.
    Documents {
        /// The number of documents.
        #[arg(long, default_value_t = 5_000)]
        documents: u64,
    },
    /// How much longer a person waits while another one uses all they can get, as a ratio to an idle system.
    Fairness {
        /// The number of the first person's requests that are measured in each phase.
        #[arg(long, default_value_t = 300)]
        samples: usize,
        /// One attack instead of all.
        #[arg(long)]
        only: Option<fairness::Attack>,
    },
    /// The invariants over many inserted transactions: time of `wallet-worker verify`, complete and quick.
    Verify {
        /// The number of transfers.
        #[arg(long, default_value_t = 1_000_000)]
        transfers: usize,
    },
    /// The attacker of `fairness`, as a process of its own.
    #[command(hide = true)]
    Attack {
        /// The attack to run.
        attack: fairness::Attack,
        /// The target of the attack, as JSON.
        target: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().which).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(which: Option<Which>) -> Result<()> {
    let all = [
        Which::Latency { samples: 1_000 },
        Which::Backlog { transfers: 20_000 },
        Which::Flush { transfers: 1_000 },
        Which::Memory { requests: 10_000 },
        Which::Documents { documents: 5_000 },
        Which::Fairness {
            samples: 300,
            only: None,
        },
        Which::Verify { transfers: 1_000_000 },
    ];
    let chosen = which.map_or_else(|| all.to_vec(), |one| vec![one]);
    for one in chosen {
        let lines = match one {
            Which::Latency { samples } => latency::measure(samples).await?,
            Which::Backlog { transfers } => backlog::measure(transfers).await?,
            Which::Flush { transfers } => flush::measure(transfers).await?,
            Which::Memory { requests } => memory::measure(requests).await?,
            Which::Documents { documents } => documents::measure_documents(documents)?,
            Which::Fairness { samples, only } => fairness::measure(samples, only).await?,
            Which::Verify { transfers } => verify::measure(transfers).await?,
            Which::Attack { attack, target } => fairness::attack(attack, &target).await?,
        };
        for line in lines {
            say(&line.to_string());
        }
    }
    Ok(())
}
