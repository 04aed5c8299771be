//! The faults that were ordered for this process, in its environment.
//!
//! `FAILPOINTS=CallBeforeSend:abort@0.05,CallAnswered:stop#2`: a point, the action, and when: with a probability, only the n-th time, or always.
//! `FAILPOINTS_SEED` seeds the random choice, `FAILPOINTS_LOG` names the file in which every action is recorded before it is taken, and
//! `FAILPOINTS_OFF` a file whose existence ends all orders while the process keeps running.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Point;
use crate::config::{Env, ProcessEnv};

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The process ends at once, as if killed.
    Abort,
    /// The process stops until it is continued from outside.
    Stop,
    /// The task panics.
    Panic,
    /// The task loops for ever and never yields, so that nothing can drop it.
    Spin,
    /// The task waits.
    Sleep(Duration),
    /// Nothing happens; the point is only recorded in the log file.
    Count,
}

/// When an action happens.
#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    Always,
    Share(f64),
    Nth(u64),
}

/// What happens at one point, and when.
#[derive(Debug)]
pub struct Order {
    action: Action,
    when: When,
    reached: AtomicU64,
}

/// An order that cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no order: write POINT:abort|stop|panic|spin|count|sleep-MILLISECONDS, then @SHARE or #NTH")]
pub struct OrderError(String);

/// How often it is checked whether the orders are called off.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// The file whose existence calls off all orders, permanently.
#[derive(Debug)]
struct Off {
    file: PathBuf,
    /// When the file was last checked, and whether it existed.
    seen: Mutex<Option<(Instant, bool)>>,
}

impl Off {
    fn is_called(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match *seen {
            Some((_, true)) => true,
            Some((looked, false)) if looked.elapsed() < CHECK_EVERY => false,
            _ => {
                let called = self.file.exists();
                *seen = Some((Instant::now(), called));
                called
            }
        }
    }
}

/// All orders of a process.
#[derive(Debug)]
pub struct Orders {
    points: HashMap<Point, Order>,
    rng: Mutex<StdRng>,
    log: Option<Mutex<File>>,
    off: Option<Off>,
}

impl FromStr for Order {
    type Err = OrderError;

    fn from_str(text: &str) -> Result<Self, OrderError> {
        let wrong = || OrderError(text.to_owned());
        let (action, when) = if let Some((action, share)) = text.split_once('@') {
            (action, When::Share(share.parse().map_err(|_| wrong())?))
        } else if let Some((action, nth)) = text.split_once('#') {
            (action, When::Nth(nth.parse().map_err(|_| wrong())?))
        } else {
            (text, When::Always)
        };
        let action = match action {
            "abort" => Action::Abort,
            "stop" => Action::Stop,
            "panic" => Action::Panic,
            "spin" => Action::Spin,
            "count" => Action::Count,
            other => {
                let millis = other
                    .strip_prefix("sleep-")
                    .and_then(|millis| millis.parse().ok());
                Action::Sleep(Duration::from_millis(millis.ok_or_else(wrong)?))
            }
        };
        Ok(Self {
            action,
            when,
            reached: AtomicU64::new(0),
        })
    }
}

impl Orders {
    /// Reads the orders from a process's environment.
    ///
    /// # Errors
    /// When an order cannot be parsed.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, OrderError> {
        let mut points = HashMap::new();
        for text in variable("FAILPOINTS").unwrap_or_default().split(',') {
            if text.is_empty() {
                continue;
            }
            let wrong = || OrderError(text.to_owned());
            let (point, order) = text.split_once(':').ok_or_else(wrong)?;
            points.insert(point.parse().map_err(|_| wrong())?, order.parse()?);
        }
        let seed = variable("FAILPOINTS_SEED")
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(0);
        let log = match variable("FAILPOINTS_LOG") {
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).open(&path);
                Some(Mutex::new(file.map_err(|_| OrderError(path))?))
            }
            None => None,
        };
        Ok(Self {
            points,
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            log,
            off: variable("FAILPOINTS_OFF").map(|file| Off {
                file: PathBuf::from(file),
                seen: Mutex::new(None),
            }),
        })
    }

    /// Returns the orders of this process; the process exits if they cannot be parsed.
    #[expect(
        clippy::print_stderr,
        reason = "a campaign without its orders would prove nothing"
    )]
    pub fn of_process() -> &'static Self {
        static ORDERS: OnceLock<Orders> = OnceLock::new();
        ORDERS.get_or_init(|| {
            Self::read(|name| ProcessEnv.get(name).and_then(|value| value.into_string().ok())).unwrap_or_else(
                |error| {
                    eprintln!("{error}");
                    std::process::exit(78)
                },
            )
        })
    }

    /// Returns the action to take this time, if any.
    fn draw(&self, point: Point) -> Option<Action> {
        let order = self.points.get(&point)?;
        if self.off.as_ref().is_some_and(Off::is_called) {
            return None;
        }
        let reached = order.reached.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let happens = match order.when {
            When::Always => true,
            When::Nth(nth) => reached == nth,
            When::Share(share) => {
                self.rng
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .random::<f64>()
                    < share
            }
        };
        happens.then_some(order.action)
    }

    fn tell(&self, point: Point, action: Action) {
        if let Some(log) = &self.log {
            let line = format!("{} {action:?} {}\n", point.name(), std::process::id());
            let _ = log
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line.as_bytes());
        }
    }
}

/// Never ends and never yields: it occupies a thread of its program for good, but leaves the processor to other programs.
#[expect(clippy::disallowed_methods, reason = "it is what was ordered")]
fn spin() -> ! {
    loop {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[expect(clippy::panic, reason = "it is what was ordered")]
pub(super) async fn reach(point: Point) {
    let orders = Orders::of_process();
    let Some(action) = orders.draw(point) else { return };
    orders.tell(point, action);
    match action {
        // Not abort(3), which would write a core file.
        Action::Abort => drop(raise(Signal::SIGKILL)),
        Action::Stop => drop(raise(Signal::SIGSTOP)),
        Action::Panic => panic!("ordered at {}", point.name()),
        Action::Spin => spin(),
        Action::Sleep(time) => tokio::time::sleep(time).await,
        Action::Count => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(failpoints: &str) -> Result<Orders, OrderError> {
        Orders::read(|name| (name == "FAILPOINTS").then(|| failpoints.to_owned()))
    }

    #[test]
    fn an_order_happens_as_often_as_it_says() {
        let orders = orders(
            "CallBeforeSend:sleep-20#2,CallAnswered:panic@0.5,EventBeforeCommit:abort,AcceptCommitSent:spin",
        )
        .unwrap();
        let drawn = |point| (0..1_000).filter(|_| orders.draw(point).is_some()).count();
        assert_eq!(orders.draw(Point::CallBeforeSend), None);
        assert_eq!(
            orders.draw(Point::CallBeforeSend),
            Some(Action::Sleep(Duration::from_millis(20)))
        );
        assert_eq!(drawn(Point::CallBeforeSend), 0);
        assert!((400..600).contains(&drawn(Point::CallAnswered)));
        assert_eq!(drawn(Point::EventBeforeCommit), 1_000);
        assert_eq!(drawn(Point::AcceptBeforeCommit), 0);
        assert_eq!(orders.draw(Point::AcceptCommitSent), Some(Action::Spin));
    }

    #[test]
    fn orders_end_when_they_are_called_off() {
        let file = std::env::temp_dir().join(format!("failpoints-off-{}", std::process::id()));
        let name = file.display().to_string();
        let orders = Orders::read(|variable| match variable {
            "FAILPOINTS" => Some("EventBeforeCommit:abort".to_owned()),
            "FAILPOINTS_OFF" => Some(name.clone()),
            _ => None,
        });
        let orders = orders.unwrap();
        assert_eq!(orders.draw(Point::EventBeforeCommit), Some(Action::Abort));
        std::fs::write(&file, "").unwrap();
        std::thread::sleep(CHECK_EVERY * 2);
        assert_eq!(orders.draw(Point::EventBeforeCommit), None);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(orders.draw(Point::EventBeforeCommit), None, "it is for good");
    }

    #[test]
    fn an_order_that_cannot_be_read_is_refused() {
        for wrong in [
            "CallBeforeSend",
            "Nowhere:abort",
            "CallBeforeSend:explode",
            "CallBeforeSend:sleep-",
            "CallBeforeSend:abort@often",
            "CallBeforeSend:abort#x",
        ] {
            assert!(orders(wrong).is_err(), "{wrong}");
        }
    }
}
