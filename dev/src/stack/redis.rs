//! A private Redis on a loopback port: with an append-only file for a queue node that must survive a restart, or purely in memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::port;
use super::process::{Process, ProcessSpec};
use super::scratch::Scratch;

/// The oldest major version that the system supports.
const OLDEST: u32 = 7;

const READY_LIMIT: Duration = Duration::from_secs(30);

/// The options of a node. The default is for tests and lock nodes: in memory only, any free port.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Its name for people, such as `lock node 1`.
    pub name: Option<String>,
    /// The port, or `None` for any free one.
    pub port: Option<u16>,
    /// The folder of its append-only file (written every second), or `None` to keep nothing.
    pub append_only_in: Option<PathBuf>,
    /// The log file, or `None` for one that is removed with the node.
    pub log: Option<PathBuf>,
    /// Further arguments, such as `--maxmemory`, `64mb`.
    pub args: Vec<String>,
}

/// A running node. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    options: RedisOptions,
    program: PathBuf,
    port: u16,
    scratch: Scratch,
}

impl Redis {
    /// Starts a node and waits until it responds.
    ///
    /// # Errors
    /// When Redis 7 or newer is not installed, or the node does not start: the end of its log is in the message.
    pub async fn start(options: RedisOptions) -> Result<Self> {
        let program = find()?;
        let scratch = Scratch::new(None)?;
        if let Some(folder) = &options.append_only_in {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let mut tries = 0;
        loop {
            let port = match options.port {
                Some(port) => port,
                None => port::free()?,
            };
            let mut process = server(&program, &options, scratch.path(), port).spawn()?;
            match ready(&mut process, port).await {
                Ok(()) => {
                    return Ok(Self {
                        process,
                        options,
                        program,
                        port,
                        scratch,
                    });
                }
                Err(error) if options.port.is_some() || tries >= 3 => return Err(error),
                // Another program took the port in the meantime.
                Err(_) => tries += 1,
            }
        }
    }

    /// Returns its URL, of database 0.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Returns its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its process, to suspend it.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Returns its process, to wait for it or kill it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Keeps it from answering any client for a while, although it runs (`CLIENT PAUSE`).
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn pause(&self, length: Duration) -> Result<()> {
        let answer = command(self.port, &format!("CLIENT PAUSE {} ALL", length.as_millis())).await?;
        if answer != "+OK" {
            bail!("Redis refused to pause: {answer}");
        }
        Ok(())
    }

    /// Stops it and waits until it has ended.
    ///
    /// # Errors
    /// When the system does not report how it ended.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop().await.map(drop)
    }

    /// Starts a stopped or crashed node again, on the same port: with its append-only file if it has one, otherwise empty.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process.kill().await?;
        self.process = server(&self.program, &self.options, self.scratch.path(), self.port).spawn()?;
        ready(&mut self.process, self.port).await
    }
}

fn server(program: &Path, options: &RedisOptions, scratch: &Path, port: u16) -> ProcessSpec {
    let folder = options.append_only_in.as_deref().unwrap_or(scratch);
    let log = options.log.clone().unwrap_or_else(|| scratch.join("redis.log"));
    let port = port.to_string();
    let append_only = if options.append_only_in.is_some() {
        "yes"
    } else {
        "no"
    };
    let fixed = [
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--save",
        "",
        "--appendfsync",
        "everysec",
        "--appendonly",
        append_only,
    ];
    ProcessSpec::new(options.name.as_deref().unwrap_or("Redis"), program, &log)
        .args(fixed)
        .args(["--dir".into(), folder.as_os_str().to_owned()])
        .args(&options.args)
}

/// Waits until this very process answers on the port.
async fn ready(process: &mut Process, port: u16) -> Result<()> {
    let start = Instant::now();
    let ours = format!("process_id:{}", process.pid());
    loop {
        if let Some(status) = process.try_wait()? {
            bail!(
                "{} ended ({status}):\n{}",
                process.name(),
                process.log_tail(12).join("\n")
            );
        }
        // While a node loads its file it answers "-LOADING" to everything but INFO, which then reports it.
        let info = info(port).await.unwrap_or_default();
        let says = |line: &str| info.lines().any(|told| told == line);
        if says(&ours) && says("loading:0") {
            return Ok(());
        }
        if start.elapsed() > READY_LIMIT {
            bail!(
                "{} is not ready after {} s:\n{}",
                process.name(),
                READY_LIMIT.as_secs(),
                process.log_tail(12).join("\n")
            );
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn info(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"INFO\r\nQUIT\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

async fn command(port: u16, line: &str) -> Result<String> {
    let mut stream = BufReader::new(
        TcpStream::connect(("127.0.0.1", port))
            .await
            .context("cannot reach Redis")?,
    );
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    Ok(answer.trim_end().to_owned())
}

/// Returns the server program: Redis, or Valkey, which replaced it in some distributions.
fn find() -> Result<PathBuf> {
    for name in ["redis-server", "valkey-server"] {
        let Ok(output) = Command::new(name).arg("--version").output() else {
            continue;
        };
        // "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 …"
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text
            .split_whitespace()
            .find_map(|word| word.strip_prefix("v="))
            .unwrap_or_default();
        let major: u32 = version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .unwrap_or_default();
        if major >= OLDEST {
            return Ok(name.into());
        }
        bail!("Redis {OLDEST} or newer is needed, {version} is installed");
    }
    bail!("Redis {OLDEST} or newer is needed and none is installed (bin/dev installs it)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_append_only_node_keeps_its_data_and_another_does_not() {
        let folder = tempfile::tempdir().unwrap();
        for (kept, append_only_in) in [("$1", Some(folder.path().to_owned())), ("$-1", None)] {
            let mut redis = Redis::start(RedisOptions {
                append_only_in,
                ..RedisOptions::default()
            })
            .await
            .unwrap();
            assert_eq!(command(redis.port(), "SET key v").await.unwrap(), "+OK");
            redis.stop().await.unwrap();
            redis.start_again().await.unwrap();
            assert_eq!(command(redis.port(), "GET key").await.unwrap(), kept);
        }
    }

    #[tokio::test]
    async fn a_paused_node_answers_late() {
        let redis = Redis::start(RedisOptions::default()).await.unwrap();
        redis.pause(Duration::from_millis(300)).await.unwrap();
        let start = Instant::now();
        command(redis.port(), "SET key v").await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(250));
    }
}
