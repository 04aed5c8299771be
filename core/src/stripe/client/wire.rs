//! The last step before the socket: every request to Stripe passes through here and is sent once.
//!
//! The rules enforced here hold for all requests: the bytes of a body depend only on the parameters, a call whose claim has ended is not sent,
//! and a refusal counts as one about the connected account if the request names one.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use miniserde::Deserialize;
use stripe::{RequestStrategy, StripeRequest};
use stripe_client_core::RequestBuilder;

use super::StripeClient;
use super::failure::{failure, too_late};
use super::http::WireError;
use crate::ids::stripe::AccountId;
use crate::stripe::errors::{ErrorClass, StripeError};
use crate::stripe::ticket::Ticket;

/// A request to be sent, whose answer is `T`.
pub(super) struct Outgoing<'a, T> {
    request: RequestBuilder,
    output: std::marker::PhantomData<fn() -> T>,
    ticket: Option<&'a Ticket>,
    /// The connected account on whose behalf it is made.
    acts_for: Option<&'a AccountId>,
    names_account: bool,
}

impl<'a, T: Deserialize> Outgoing<'a, T> {
    pub(super) fn of(request: &impl StripeRequest<Output = T>) -> Self {
        let mut request = request.build();
        request.body = request.body.as_deref().map(in_order);
        Self {
            request,
            output: std::marker::PhantomData,
            ticket: None,
            acts_for: None,
            names_account: false,
        }
    }

    /// Reads the answer as a type of ours, where the library's type lacks something.
    pub(super) fn read_as<U>(self) -> Outgoing<'a, U> {
        Outgoing {
            request: self.request,
            output: std::marker::PhantomData,
            ticket: self.ticket,
            acts_for: self.acts_for,
            names_account: self.names_account,
        }
    }

    /// Sends the request under the key of this ticket, and only while the ticket is valid.
    pub(super) const fn under(mut self, ticket: &'a Ticket) -> Self {
        self.ticket = Some(ticket);
        self
    }

    /// Makes the request on behalf of a connected account; `None` means the platform itself.
    pub(super) const fn on(mut self, account: Option<&'a AccountId>) -> Self {
        self.names_account = account.is_some();
        self.acts_for = account;
        self
    }

    /// Marks the request as being about a connected account, which its path or a parameter names.
    pub(super) const fn about(mut self, _account: &AccountId) -> Self {
        self.names_account = true;
        self
    }

    /// Sends the request, once.
    pub(super) async fn send(self, client: &StripeClient) -> Result<T, StripeError> {
        let mut request = self.request.customize::<T>();
        if let Some(account) = self.acts_for {
            request = request.account_id(account.as_str().into());
        }
        if let Some(ticket) = self.ticket {
            let key = stripe::IdempotencyKey::new(ticket.key().as_str())
                .map_err(|_| StripeError::new(ErrorClass::Misuse))?;
            request = request.request_strategy(RequestStrategy::Idempotent(key));
        }
        let sending = request.send(&client.http);
        match self.ticket {
            Some(ticket) => while_it_lasts(ticket, sending).await?,
            None => sending.await,
        }
        .map_err(|error| failure(error, self.names_account))
    }
}

/// Drives `sending` only while the ticket is valid. The ticket is checked before every poll, so that a process that was stopped, for example
/// while it connected, does not send the request when it resumes.
async fn while_it_lasts<T>(
    ticket: &Ticket,
    sending: impl Future<Output = Result<T, WireError>>,
) -> Result<Result<T, WireError>, StripeError> {
    let mut sending = pin!(sending);
    let mut has_begun = false;
    poll_fn(|context| {
        if ticket.is_over() {
            return Poll::Ready(Err(too_late(has_begun)));
        }
        has_begun = true;
        sending.as_mut().poll(context).map(Ok)
    })
    .await
}

/// Puts the pairs of a form into a fixed order. The library keeps metadata in hash maps, whose order differs between processes, and Stripe
/// compares a request with the first one under its key (<https://docs.stripe.com/api/idempotent_requests>). The items of lists are
/// numbered, so the order of the pairs has no meaning.
fn in_order(body: &str) -> String {
    let mut pairs: Vec<&str> = body.split('&').collect();
    pairs.sort_unstable();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;
    use crate::stripe::CreateCustomer;
    use crate::stripe::client::ClientOptions;

    fn ticket(until: Instant) -> Ticket {
        Ticket::new("customer:1:1".parse().unwrap(), until)
    }

    #[test]
    fn the_pairs_of_a_body_have_one_order_whatever_order_they_are_given_in() {
        let one = in_order("metadata[b]=2&amount=1&metadata[a]=%26&list[0]=x");
        assert_eq!(one, in_order("list[0]=x&metadata[a]=%26&metadata[b]=2&amount=1"));
        assert_eq!(one, "amount=1&list[0]=x&metadata[a]=%26&metadata[b]=2");
        assert_eq!(in_order(""), "");
    }

    /// A server that accepts connections and answers 500; returns its port and the number of connections so far.
    async fn server() -> (u16, std::sync::Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = socket.read(&mut [0; 4096]).await;
                let _ = socket
                    .write_all(b"HTTP/1.1 500 x\r\ncontent-length: 2\r\n\r\n{}")
                    .await;
            }
        });
        (port, connections)
    }

    #[tokio::test]
    async fn a_call_whose_claim_is_over_is_not_sent() {
        let (port, connections) = server().await;
        let key = secrecy::SecretString::from("sk_test_0123456789".to_owned());
        let options = ClientOptions::new(key, format!("http://127.0.0.1:{port}"));
        let client = StripeClient::new(&options).unwrap();
        let params = CreateCustomer {
            user_id: "018f2f5e-7b3c-7000-8000-000000000003".parse().unwrap(),
        };
        let over = client
            .create_customer(&ticket(Instant::now()), &params)
            .await
            .unwrap_err();
        assert_eq!(over.code.as_deref(), Some("claim_over"));
        assert!(over.class.leaves_key_unused(), "it was certainly not sent");
        assert_eq!(connections.load(Ordering::SeqCst), 0);
        let lasting = Ticket::lasting("customer:1:1".parse().unwrap(), Duration::from_secs(60));
        let sent = client.create_customer(&lasting, &params).await.unwrap_err();
        assert_eq!(sent.class, ErrorClass::Unknown);
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_claim_ends_while_it_is_sent_goes_no_further_and_its_outcome_is_unknown() {
        let steps = AtomicUsize::new(0);
        let sending = async {
            loop {
                steps.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let ticket = ticket(Instant::now() + Duration::from_millis(2_500));
        let over: Result<Result<(), WireError>, _> = while_it_lasts(&ticket, sending).await;
        let over = over.unwrap_err();
        assert_eq!(over.class, ErrorClass::Unknown);
        assert_eq!(steps.load(Ordering::SeqCst), 3, "at 0, 1 and 2 s, and not at 3 s");
    }
}
