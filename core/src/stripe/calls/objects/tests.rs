//! The client against a server that counts the requests it holds at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::time::timeout;

use super::*;
use crate::ids::UserId;
use crate::money::{Currency, Money};
use crate::stripe::calls::StripeCall;
use crate::stripe::params::{
    CreateAccount, CreateCustomer, CreatePayout, CreateRefund, CreateReversal, CreateTransfer, Tags,
};
use crate::stripe::{ClientOptions, ErrorClass, StripeClient, Ticket};

const REFUSAL: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 84\r\n",
    "connection: close\r\n\r\n",
    r#"{"error":{"type":"invalid_request_error","code":"parameter_missing","message":"no"}}"#,
);

/// What a server does with a request before it refuses the request.
#[derive(Clone)]
enum Answers {
    /// Holds the request for a while.
    Slowly,
    /// Holds the request until there are two.
    InPairs(Arc<Barrier>),
}

/// A server, and the maximum number of requests that it held at a time.
async fn server(answers: Answers) -> (StripeClient, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&most);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(refuse(
                socket,
                answers.clone(),
                Arc::clone(&now),
                Arc::clone(&counted),
            ));
        }
    });
    let key = SecretString::from("sk_test_0123456789".to_owned());
    let options = ClientOptions::new(key, format!("http://127.0.0.1:{port}"));
    (StripeClient::new(&options).unwrap(), most)
}

async fn refuse(mut socket: TcpStream, answers: Answers, now: Arc<AtomicUsize>, most: Arc<AtomicUsize>) {
    assert!(socket.read(&mut [0; 8192]).await.unwrap() > 0);
    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    match answers {
        Answers::Slowly => tokio::time::sleep(Duration::from_millis(30)).await,
        Answers::InPairs(pair) => {
            pair.wait().await;
        }
    }
    now.fetch_sub(1, Ordering::SeqCst);
    socket.write_all(REFUSAL.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
}

fn tags() -> Tags {
    Tags {
        transaction_id: "018f2f5e-7b3c-7000-8000-000000000001".parse().unwrap(),
        wallet_id: "018f2f5e-7b3c-7000-8000-000000000002".parse().unwrap(),
    }
}

fn user() -> UserId {
    "018f2f5e-7b3c-7000-8000-000000000003".parse().unwrap()
}

fn cents(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD).unwrap()
}

fn refund_of(payment: &str) -> CreateRefund {
    CreateRefund {
        payment_intent: payment.parse().unwrap(),
        amount: cents(100),
        tags: tags(),
    }
}

/// Sends refunds of these payments at the same time, as several runs of one process do.
async fn refund_all(client: &StripeClient, objects: &Arc<Objects>, payments: &[&str]) {
    let sends = payments.iter().enumerate().map(async |(number, payment)| {
        let call = refund_of(payment);
        let key = format!("refund:{payment}:{number}").parse().unwrap();
        let ticket = Ticket::lasting(key, Duration::from_secs(60));
        let _alone = objects.alone(call.touches()).await;
        let refused = call.send(client, &ticket).await.unwrap_err();
        assert_eq!(refused.class, ErrorClass::Refused, "{refused}");
    });
    timeout(Duration::from_secs(10), join_all(sends)).await.unwrap();
}

#[tokio::test]
async fn calls_on_one_object_never_overlap() {
    let (client, most) = server(Answers::Slowly).await;
    let objects = Arc::new(Objects::default());
    refund_all(&client, &objects, &["pi_1"; 5]).await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn calls_on_different_objects_overlap() {
    // Neither request is answered before both have arrived: if they waited for each other, they would time out.
    let (client, most) = server(Answers::InPairs(Arc::new(Barrier::new(2)))).await;
    let objects = Arc::new(Objects::default());
    refund_all(&client, &objects, &["pi_1", "pi_2"]).await;
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_object_is_forgotten_when_nobody_needs_it_even_if_somebody_gave_up_waiting() {
    let objects = Arc::new(Objects::default());
    let first = objects.alone(Some("acct_1".to_owned())).await;
    let second = objects.alone(Some("acct_1".to_owned()));
    assert!(timeout(Duration::from_millis(20), second).await.is_err());
    assert_eq!(objects.entries().len(), 1);
    let third = tokio::spawn({
        let objects = Arc::clone(&objects);
        async move { objects.alone(Some("acct_1".to_owned())).await.is_some() }
    });
    tokio::task::yield_now().await;
    drop(first);
    assert!(timeout(Duration::from_secs(5), third).await.unwrap().unwrap());
    assert_eq!(objects.entries().len(), 0);
    assert!(objects.alone(None).await.is_none());
    assert_eq!(objects.entries().len(), 0);
}

#[test]
fn each_call_names_the_object_that_stripe_locks_for_it() {
    let account = || "acct_1".parse().unwrap();
    let transfer = CreateTransfer {
        amount: cents(100),
        destination: account(),
        tags: tags(),
    };
    let payout = CreatePayout {
        account: account(),
        amount: cents(100),
        destination: None,
        tags: tags(),
    };
    let reversal = CreateReversal {
        transfer: "tr_1".parse().unwrap(),
        amount: cents(100),
        tags: tags(),
    };
    let customer = CreateCustomer { user_id: user() };
    let connected = CreateAccount {
        user_id: user(),
        currency: Currency::USD,
        opening: None,
    };
    let person = format!("user:{}", user());
    for (touched, object) in [
        (transfer.touches(), "acct_1"),
        (payout.touches(), "acct_1"),
        (reversal.touches(), "tr_1"),
        (refund_of("pi_1").touches(), "pi_1"),
        (customer.touches(), &person),
        (connected.touches(), &person),
    ] {
        assert_eq!(touched.as_deref(), Some(object));
    }
}
