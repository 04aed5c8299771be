//! A wallet's lock that another RedLock client holds, here by a bare `SET NX PX`.

use redis::aio::MultiplexedConnection;

/// A lock that another client holds on some lock nodes.
pub struct HeldLock {
    key: String,
    nodes: Vec<MultiplexedConnection>,
}

impl std::fmt::Debug for HeldLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldLock")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl HeldLock {
    /// Takes the lock of `wallet` on these nodes for longer than any test takes.
    ///
    /// # Panics
    /// If a node cannot be reached or another client holds the lock.
    pub async fn take(wallet: &str, urls: &[String]) -> Self {
        let key = format!("wallet:{wallet}");
        let mut nodes = Vec::new();
        for url in urls {
            let client = redis::Client::open(url.as_str()).unwrap();
            let mut node = client.get_multiplexed_async_connection().await.unwrap();
            let mut set = redis::cmd("SET");
            set.arg(&key).arg("a stranger").arg("NX").arg("PX").arg(300_000);
            let taken: Option<String> = set.query_async(&mut node).await.unwrap();
            assert_eq!(taken.as_deref(), Some("OK"), "somebody else holds {key}");
            nodes.push(node);
        }
        Self { key, nodes }
    }

    /// Releases the lock.
    ///
    /// # Panics
    /// If a node cannot be reached.
    pub async fn release(mut self) {
        for node in &mut self.nodes {
            redis::cmd("DEL").arg(&self.key).exec_async(node).await.unwrap();
        }
    }
}
