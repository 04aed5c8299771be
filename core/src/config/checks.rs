//! The worker's own checks of the ledger and their consequences: `VERIFY_QUICK_SECONDS`, `VERIFY_COMPLETE_SECONDS`,
//! `RECONCILE_SECONDS`, `PLATFORM_BALANCE_SECONDS`, `MONEY_OUT_STOPS_ON`.

use chrono::TimeDelta;

use super::env::{items, optional, parsed};
use super::{ConfigError, Env};

const STOPS_ON: &str = "MONEY_OUT_STOPS_ON";
/// The longest interval in seconds: a week.
const RAREST: u32 = 604_800;

/// How often the ledger is checked, and which findings stop money-out. An interval is `None` when its check is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChecksConfig {
    /// `VERIFY_QUICK_SECONDS`: the interval between checks of the quick set of invariants.
    pub quick: Option<TimeDelta>,
    /// `VERIFY_COMPLETE_SECONDS`: the interval between checks of all invariants.
    pub complete: Option<TimeDelta>,
    /// `RECONCILE_SECONDS`: the interval between comparisons of the ledger with Stripe.
    pub reconcile: Option<TimeDelta>,
    /// `PLATFORM_BALANCE_SECONDS`: the interval between checks that Stripe holds what the wallets hold.
    pub backing: Option<TimeDelta>,
    /// Whether a violated invariant of money stops money-out.
    pub stops_on_violations: bool,
    /// Whether an unexplained difference from Stripe stops money-out.
    pub stops_on_differences: bool,
    /// Whether money-out stops when the balance at Stripe is less than what the wallets hold because of fees and debts alone. A balance
    /// from which money was taken is a violation.
    pub stops_on_shortages: bool,
}

impl ChecksConfig {
    /// Reads the five variables.
    ///
    /// # Errors
    /// Returns an error that names the first variable that is not understood.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        let stops_on = stops_on(env)?;
        Ok(Self {
            quick: every(env, "VERIFY_QUICK_SECONDS", 60)?,
            complete: every(env, "VERIFY_COMPLETE_SECONDS", 86_400)?,
            reconcile: every(env, "RECONCILE_SECONDS", 86_400)?,
            backing: every(env, "PLATFORM_BALANCE_SECONDS", 300)?,
            stops_on_violations: stops_on.violations,
            stops_on_differences: stops_on.differences,
            stops_on_shortages: stops_on.shortages,
        })
    }
}

fn every(env: &dyn Env, name: &'static str, default: u32) -> Result<Option<TimeDelta>, ConfigError> {
    const FIX: &str = "set it to a number of seconds up to 604800, or to 0 for never";
    let seconds: u32 = parsed(env, name, default, FIX)?;
    if seconds > RAREST {
        return Err(ConfigError::new(name, "is more than a week", FIX));
    }
    Ok((seconds > 0).then(|| TimeDelta::seconds(seconds.into())))
}

/// The findings that `MONEY_OUT_STOPS_ON` names.
#[derive(Debug, Default)]
struct StopsOn {
    violations: bool,
    differences: bool,
    shortages: bool,
}

fn stops_on(env: &dyn Env) -> Result<StopsOn, ConfigError> {
    let text = optional(env, STOPS_ON)?.unwrap_or_else(|| "violations".to_owned());
    let mut named = StopsOn::default();
    for item in items(&text) {
        match item {
            "violations" => named.violations = true,
            "differences" => named.differences = true,
            "shortages" => named.shortages = true,
            "nothing" => {}
            other => {
                return Err(ConfigError::new(
                    STOPS_ON,
                    format!("names the unknown finding {other:?}"),
                    "list some of violations, differences, shortages, or set it to nothing",
                ));
            }
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{error_of, with};

    #[test]
    fn a_violation_stops_money_out_unless_somebody_says_otherwise() {
        let usual = ChecksConfig::read(&with(&[])).unwrap();
        assert_eq!(usual.quick, Some(TimeDelta::seconds(60)));
        assert_eq!(
            (usual.complete, usual.reconcile),
            (Some(TimeDelta::days(1)), Some(TimeDelta::days(1)))
        );
        assert!(usual.stops_on_violations && !usual.stops_on_differences && !usual.stops_on_shortages);
        let read = |value: &str| {
            let read = ChecksConfig::read(&with(&[(STOPS_ON, value), ("RECONCILE_SECONDS", "0")])).unwrap();
            assert_eq!(read.reconcile, None);
            (
                read.stops_on_violations,
                read.stops_on_differences,
                read.stops_on_shortages,
            )
        };
        assert_eq!(read("violations, differences"), (true, true, false));
        assert_eq!(read("differences"), (false, true, false));
        assert_eq!(read("violations,shortages"), (true, false, true));
        assert_eq!(read("nothing"), (false, false, false));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (name, value) in [
            (STOPS_ON, "everything"),
            ("VERIFY_QUICK_SECONDS", "often"),
            ("VERIFY_COMPLETE_SECONDS", "604801"),
            ("RECONCILE_SECONDS", "-1"),
        ] {
            let line = error_of(ChecksConfig::read(&with(&[(name, value)])));
            assert!(line.starts_with(&format!("{name}: ")), "{line}");
        }
    }
}
