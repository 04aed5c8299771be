//! Real Redis servers for the tests of this crate: each on a free port of its own, and stopped with the test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A `redis-server` process without persistence; killed when dropped.
pub(crate) struct RedisProcess {
    port: u16,
    child: Option<Child>,
}

impl RedisProcess {
    pub(crate) fn start() -> Self {
        // Another process may take a free port before our server does; then the next one is tried.
        loop {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let mut server = Self { port, child: None };
            if server.try_start() {
                return server;
            }
        }
    }

    /// Starts an empty server on the same port, after [`RedisProcess::kill`].
    pub(crate) fn start_again(&mut self) {
        assert!(self.try_start(), "port {} is no longer free", self.port);
    }

    /// Starts the server and waits until it answers; returns false if it cannot have the port.
    #[expect(clippy::disallowed_methods, reason = "a test may wait")]
    fn try_start(&mut self) -> bool {
        let port = self.port.to_string();
        let mut child = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                "/tmp",
            ])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server must be in PATH (apt-get install redis-server)");
        let ours = format!("process_id:{}\r", child.id());
        let begun = Instant::now();
        let client = redis::Client::open(self.url()).unwrap();
        let info = || {
            redis::cmd("INFO")
                .arg("server")
                .query::<String>(&mut client.get_connection()?)
        };
        while !info().is_ok_and(|info| info.contains(&ours)) {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "redis-server does not start"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
        true
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops the process without ending it: it accepts connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs one command over a separate connection, as any outside program would.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        let mut cmd = redis::Cmd::new();
        command.iter().for_each(|word| {
            cmd.arg(*word);
        });
        cmd.query(&mut connection).unwrap()
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
