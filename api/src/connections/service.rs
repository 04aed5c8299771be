//! The service that answers the requests of one connection.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use tower::Service;

use crate::places::{Guest, PeerAddress};

/// Passes requests on to the router with the address of the peer, and counts them as under way until they are answered.
#[derive(Clone)]
pub(super) struct Noting {
    router: Router,
    guest: Guest,
    peer: PeerAddress,
}

impl Noting {
    pub(super) fn new(router: Router, guest: Guest, peer: IpAddr) -> Self {
        Self {
            router,
            guest,
            peer: PeerAddress(peer),
        }
    }
}

impl<B> Service<Request<B>> for Noting
where
    Router: Service<Request<B>, Response = Response, Error = Infallible>,
    <Router as Service<Request<B>>>::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.router.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let task = self.guest.task();
        request.extensions_mut().insert(self.peer);
        let answer = self.router.call(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(task);
            answer
        })
    }
}
