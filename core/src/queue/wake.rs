//! When an idle worker fetches: at once after a push, and at intervals in case the message was lost.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::ext::poll_strategy::{PollSnapshot, PollStrategy};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Notify;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// The fetch interval in case messages are lost.
const FALLBACK: Duration = Duration::from_millis(200);
/// A wake-up during a fetch may announce a task that came just too late for it, so the worker fetches again after this time.
const ECHO: Duration = Duration::from_millis(2);
/// How often the subscription is checked, and the time limit for checking it and for subscribing.
const CHECK: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));
/// The pause before subscribing again: it doubles from the first value up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Turns the messages of `channel` into notifications until `stop`, over a connection of its own that is made again when it
/// breaks.
pub(super) async fn listen(
    client: redis::Client,
    channel: String,
    wake: [Arc<Notify>; 2],
    stop: CancellationToken,
) {
    let (mut pause, longest) = PAUSE;
    let mut told = None;
    while !stop.is_cancelled() {
        let heard = tokio::select! {
            heard = follow(&client, &channel, &wake) => heard,
            () = stop.cancelled() => return,
        };
        match heard {
            Ok(()) => {
                pause = PAUSE.0;
                told = None;
            }
            Err(error) => {
                // Logged once per reason: work continues without wake-ups, only slower, perhaps for years if the Redis user may not read channels.
                if told.as_ref() != Some(&error) {
                    tracing::warn!(
                        channel,
                        error,
                        "wake-ups of the queue are not received; it is polled every {FALLBACK:?}"
                    );
                }
                told = Some(error);
                pause = (pause * 2).min(longest);
            }
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Follows the channel until the connection breaks. Returns an error if the connection could not be made.
async fn follow(client: &redis::Client, channel: &str, wake: &[Arc<Notify>; 2]) -> Result<(), String> {
    let (every, patience) = CHECK;
    let subscribed = timeout(patience, async {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(channel).await?;
        Ok::<_, redis::RedisError>(subscription)
    });
    let (mut sink, mut messages) = match subscribed.await {
        Ok(Ok(subscription)) => subscription.split(),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("no answer".to_owned()),
    };
    let wake_all = || wake.iter().for_each(|one| one.notify_one());
    // Something may have been pushed before the subscription was in place.
    wake_all();
    let mut check = interval(every);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(_) => wake_all(),
                None => return Ok(()),
            },
            _ = check.tick() => {
                // Unchecked, a connection whose other end has vanished stays silent for a quarter of an hour.
                if !matches!(timeout(patience, sink.ping::<redis::Value>()).await, Ok(Ok(_))) {
                    return Ok(());
                }
            }
        }
    }
}

/// Yields an item each time an idle worker should fetch.
fn ticks(wake: Arc<Notify>) -> BoxStream<'static, ()> {
    let state: (Arc<Notify>, Option<Instant>) = (wake, None);
    futures::stream::unfold(state, |(wake, echo)| async move {
        let next_echo = tokio::select! {
            biased;
            () = wake.notified() => Some(Instant::now() + ECHO),
            () = sleep_until(echo.unwrap_or_else(Instant::now)), if echo.is_some() => None,
            () = sleep(FALLBACK) => None,
        };
        Some(((), (wake, next_echo)))
    })
    .boxed()
}

/// Wakes the worker's task at every tick.
///
/// apalis polls its strategy once before each fetch and ignores the result: what matters is that the strategy has registered
/// the task's waker. apalis' own stream strategy takes one item and registers none, so if a tick arrives at the end of an
/// empty fetch it is the last one, and the worker sleeps until its heartbeat. This one takes all items that are ready.
pub(super) struct Ticks(BoxStream<'static, ()>);

impl Ticks {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self(ticks(wake))
    }
}

impl PollStrategy for Ticks {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut drive = Poll::Pending;
        while let Poll::Ready(Some(())) = self.0.poll_next_unpin(cx) {
            drive = Poll::Ready(Some(()));
        }
        drive
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_tick_that_was_taken_leaves_a_waker_for_the_next_one() {
        let (wake, woken) = (Arc::new(Notify::new()), Arc::new(Counter::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut ticks = Ticks::new(Arc::clone(&wake));
        let woken = || woken.0.load(Ordering::SeqCst);
        for _ in 0..3 {
            wake.notify_one();
            assert!(ticks.poll_drive(&mut cx, &PollSnapshot::new()).is_ready());
            let before = woken();
            wake.notify_one();
            assert!(woken() > before, "nothing would poll it again");
            assert!(ticks.poll_drive(&mut cx, &PollSnapshot::new()).is_ready());
        }
        let before = woken();
        tokio::time::sleep(FALLBACK * 2).await;
        assert!(woken() > before, "the echo and the interval wake it as well");
    }
}
