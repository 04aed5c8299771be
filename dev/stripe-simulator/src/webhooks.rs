//! Webhooks: signed like Stripe's, sent in parallel, and sent again with growing delays until the endpoint answers 2xx.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::objects::Event;
use crate::settings::{SignatureClock, WebhookTarget};
use crate::shared::Core;
use crate::state::{Attempt, Delivery, State, Timer};

/// The maximum number of webhooks that are sent at once.
const PARALLEL: usize = 64;

/// The number of delivery attempts that are kept for tests to read.
const REMEMBERED: usize = 5_000;

/// A webhook ready to be sent.
struct Message {
    url: String,
    secret: String,
    body: String,
    timestamp: i64,
    timeout: Duration,
}

/// Does everything that is due, and sends webhooks, until the simulator stops.
pub(crate) async fn run(core: Arc<Core>, client: reqwest::Client) {
    let permits = Arc::new(Semaphore::new(PARALLEL));
    while !core.stop.is_cancelled() {
        let (ready, wait) = {
            let mut state = core.lock();
            let wait = state.timers.next_due().map(|due| due.since(state.now()).max(1));
            // While no endpoint is configured, due webhooks wait: a simulator with a loaded state may get its endpoint later.
            let ready = match state.webhook {
                Some(_) => std::mem::take(&mut state.ready),
                None => Vec::new(),
            };
            (ready, wait)
        };
        for delivery in ready {
            tokio::spawn(send(
                Arc::clone(&core),
                client.clone(),
                Arc::clone(&permits),
                delivery,
            ));
        }
        let sleep = async {
            match wait {
                Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = core.wake.notified() => {}
            () = sleep => {}
            () = core.stop.cancelled() => {}
        }
    }
}

async fn send(core: Arc<Core>, client: reqwest::Client, permits: Arc<Semaphore>, delivery: Delivery) {
    let Ok(_permit) = permits.acquire_owned().await else {
        return;
    };
    let Some(message) = message(&core.lock(), &delivery) else {
        return;
    };
    core.kept().await;
    let signature = signature(&message.secret, message.timestamp, message.body.as_bytes());
    let started = Instant::now();
    let request = client
        .post(&message.url)
        .header("content-type", "application/json; charset=utf-8")
        .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("stripe-signature", signature)
        .timeout(message.timeout)
        .body(message.body);
    let answered = tokio::select! {
        answered = request.send() => answered,
        () = core.stop.cancelled() => return,
    };
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let result = match answered {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(describe(&error)),
    };
    core.with(|state| record(state, &delivery, result, millis));
}

fn describe(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "could not connect"
    } else {
        "connection failed"
    };
    kind.to_owned()
}

fn message(state: &State, delivery: &Delivery) -> Option<Message> {
    let target = state.webhook.as_ref()?;
    let event = state.events.get(delivery.event.as_str())?;
    let timestamp = match state.settings.webhook_signature_clock {
        SignatureClock::Real => state.clock.real(),
        SignatureClock::Simulator => state.now(),
    };
    let secret = if delivery.bad_signature {
        "whsec_wrong".to_owned()
    } else {
        secret(target, event).to_owned()
    };
    Some(Message {
        url: target.url.clone(),
        secret,
        body: serde_json::to_string(&event.view()).ok()?,
        timestamp: timestamp.seconds(),
        timeout: Duration::from_millis(state.settings.webhook_timeout_ms),
    })
}

fn secret<'a>(target: &'a WebhookTarget, event: &Event) -> &'a str {
    let connect = target
        .connect_secret
        .as_deref()
        .filter(|_| event.owner.account().is_some());
    connect.unwrap_or(&target.platform_secret)
}

/// Returns the `Stripe-Signature` header of `body` at `timestamp`.
pub(crate) fn signature(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    format!("t={timestamp},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Records the result of a sending and plans the next one if it failed.
fn record(state: &mut State, delivery: &Delivery, result: Result<u16, String>, millis: u64) {
    let now = state.now();
    let Some((created, kind)) = state
        .events
        .get(delivery.event.as_str())
        .map(|event| (event.created, event.kind.clone()))
    else {
        return;
    };
    let delivered = matches!(result, Ok(200..=299));
    if state.attempts.len() == REMEMBERED {
        state.attempts.pop_front();
    }
    let (status, error) = match result {
        Ok(status) => (Some(status), None),
        Err(error) => (None, Some(error)),
    };
    state.attempts.push_back(Attempt {
        event: delivery.event.to_string(),
        kind,
        attempt: delivery.attempt,
        time: now.rfc3339(),
        status,
        error,
        millis,
    });
    if delivered {
        state.change(&delivery.event, |event| {
            event.pending_webhooks = 0;
            event.undelivered = false;
        });
        return;
    }
    if !delivery.retried {
        return;
    }
    let wait = state
        .settings
        .webhook_retry_base_ms
        .saturating_mul(1_u64.checked_shl(delivery.attempt.min(30)).unwrap_or(u64::MAX));
    let horizon = state.settings.webhook_retry_horizon_s.saturating_mul(1_000);
    if now.since(created).saturating_add(wait) > horizon {
        state.change(&delivery.event, |event| event.pending_webhooks = 0);
        return;
    }
    let next = Delivery {
        attempt: delivery.attempt.saturating_add(1),
        ..delivery.clone()
    };
    state.plan(wait, Timer::Deliver(next));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_stripe_s() {
        // Checked with `printf '1.{}' | openssl dgst -sha256 -hmac whsec_test`.
        let header = signature("whsec_test", 1, b"{}");
        assert_eq!(
            header,
            "t=1,v1=7500d5d4be4b3ef07af1fe56f7d522d135cdaa7530de557e67cc1049c52de094"
        );
    }
}
