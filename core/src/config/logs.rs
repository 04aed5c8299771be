//! `LOG_FORMAT`, `RUST_LOG` and `OTEL_EXPORTER_OTLP_ENDPOINT`.

use tracing_subscriber::EnvFilter;
use url::Url;

use super::env::optional;
use super::{ConfigError, Env};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    #[default]
    Json,
    /// Text for people.
    Pretty,
}

/// The configuration of logs and traces.
#[derive(Debug, Clone, Default)]
pub struct LogConfig {
    /// `LOG_FORMAT`: `json` (default) or `pretty`.
    pub format: LogFormat,
    /// `RUST_LOG`: which lines are logged; [`crate::telemetry::DEFAULT_FILTER`] when not set.
    pub filter: Option<String>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where traces will go. It is checked at the start, and a warning is logged that this version
    /// does not export them yet.
    pub otlp_endpoint: Option<Url>,
}

impl LogConfig {
    /// Reads the three variables.
    ///
    /// Returns an error that names the first wrong variable.
    /// The first that is wrong.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        Self::read_with(env, LogFormat::Json)
    }

    /// Reads them for a command at a terminal: by default the format is for people, and only errors are logged.
    ///
    /// # Errors
    /// Returns an error that names the first wrong variable.
    pub fn read_for_a_person(env: &dyn Env) -> Result<Self, ConfigError> {
        let read = Self::read_with(env, LogFormat::Pretty)?;
        Ok(Self {
            filter: read.filter.or_else(|| Some("error".to_owned())),
            ..read
        })
    }

    fn read_with(env: &dyn Env, usual: LogFormat) -> Result<Self, ConfigError> {
        const OTLP: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let format = match optional(env, "LOG_FORMAT")?.as_deref() {
            None => usual,
            Some("json") => LogFormat::Json,
            Some("pretty") => LogFormat::Pretty,
            Some(other) => {
                return Err(ConfigError::new(
                    "LOG_FORMAT",
                    format!("{other:?} is not understood"),
                    "set it to json or pretty",
                ));
            }
        };
        let filter = optional(env, "RUST_LOG")?;
        if let Some(filter) = &filter {
            EnvFilter::try_new(filter).map_err(|_| {
                ConfigError::new(
                    "RUST_LOG",
                    format!("{filter:?} is not understood"),
                    "set it as in info,wallet_core=debug",
                )
            })?;
        }
        let otlp_endpoint = optional(env, OTLP)?
            .map(|text| {
                Url::parse(&text)
                    .ok()
                    .filter(|url| matches!(url.scheme(), "http" | "https"))
                    .ok_or(text)
            })
            .transpose()
            .map_err(|text| {
                ConfigError::new(
                    OTLP,
                    format!("{text:?} is not an http(s) URL"),
                    "set it as in http://127.0.0.1:4317",
                )
            })?;
        Ok(Self {
            format,
            filter,
            otlp_endpoint,
        })
    }
}
