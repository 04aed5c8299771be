//! stripe-simulator: answers like Stripe, on this machine only. See `stripe-simulator --help`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use wallet_stripe_simulator::program::{self, Arguments};

/// The program's command line.
#[derive(Parser)]
#[command(
    name = "stripe-simulator",
    version,
    about = "A Stripe for development and tests: its HTTP API on 127.0.0.1, with webhooks, faults on order and a clock that can be moved",
    after_help = "Any sk_test_… key is accepted:  curl http://127.0.0.1:12111/v1/balance -u sk_test_1:\n\
                  What it knows and has done:     curl http://127.0.0.1:12111/_control/state\n\
                  RUST_LOG says what is logged to standard error. README.md lists every control call."
)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    match program::run(Cli::parse().arguments.into()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "stripe-simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_help_says_what_the_program_is_and_what_each_argument_does() {
        let command = Cli::command();
        command.clone().debug_assert();
        let about = command.get_about().map(ToString::to_string);
        assert!(about.is_some_and(|about| about.starts_with("A Stripe for development")));
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{}", argument.get_id());
        }
    }
}
