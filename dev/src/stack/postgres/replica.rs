//! Streaming replicas: copied by `pg_basebackup` from a running server, and promoted when that server is lost.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::setup::Setup;
use super::{Account, Cluster, Postgres, PostgresOptions, SUPERUSER, Scratch, port};

/// The time limit of a promotion.
const PROMOTION_LIMIT: Duration = Duration::from_secs(30);

impl Postgres {
    /// Copies this server while it runs: with `follow` to a replica that streams from it, otherwise to an independent server, as a
    /// restored backup is. `options` are those of a server without a password.
    ///
    /// # Errors
    /// When the copy cannot be made, or the new server does not start.
    pub async fn copy(&self, follow: bool, options: PostgresOptions) -> Result<Self> {
        let account = Account::for_postgres()?;
        let scratch = Scratch::new(account.as_ref())?;
        let sockets = Scratch::new(account.as_ref())?;
        let data = scratch.path().join("data");
        let mut command = Command::new(beside(&self.setup.binaries().join("postgres")));
        command
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args([
                "--username",
                SUPERUSER,
                "--checkpoint=fast",
                "--wal-method=stream",
                "--pgdata",
            ])
            .arg(&data)
            .current_dir("/")
            .stdin(Stdio::null());
        if follow {
            command.arg("--write-recovery-conf");
        }
        if let Some(account) = &account {
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        let output = tokio::task::spawn_blocking(move || command.output())
            .await?
            .context("cannot run pg_basebackup")?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("pg_basebackup failed: {why}");
        }
        let setup = Setup::make(options, account, data, sockets.path())?;
        let port = port::free()?;
        let process = setup.start(port).await?;
        let cluster = Cluster::from_url(&format!("postgres://{SUPERUSER}@127.0.0.1:{port}/postgres"))?;
        Ok(Self {
            process,
            setup,
            port,
            cluster,
            sockets,
            _scratch: Some(scratch),
        })
    }

    /// Promotes a replica to an independent server, and waits until it accepts writes.
    ///
    /// # Errors
    /// When it is no replica, or is not promoted in time.
    pub async fn promote(&self) -> Result<()> {
        let client = self.cluster.connect("postgres").await?;
        client.execute("SELECT pg_promote(false)", &[]).await?;
        let start = Instant::now();
        loop {
            let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await?;
            if !row.get::<_, bool>(0) {
                return Ok(());
            }
            if start.elapsed() > PROMOTION_LIMIT {
                bail!("the replica on port {} is not promoted", self.port);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Returns `pg_basebackup` of the same installation; `postgres` itself may be a link to it.
fn beside(postgres: &Path) -> PathBuf {
    let real = postgres.canonicalize().unwrap_or_else(|_| postgres.to_owned());
    let program = real.with_file_name("pg_basebackup");
    if program.is_file() {
        program
    } else {
        "pg_basebackup".into()
    }
}
