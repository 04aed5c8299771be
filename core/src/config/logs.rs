//! `LOG_FORMAT`, `RUST_LOG` and `OTEL_EXPORTER_OTLP_ENDPOINT`.

use tracing_subscriber::EnvFilter;
use url::Url;

use super::env::optional;
use super::{ConfigError, Env};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// For people.
    Pretty,
}

/// Logs and traces.
#[derive(Debug, Clone, Default)]
pub struct LogConfig {
    /// `LOG_FORMAT`: `json` (default) or `pretty`.
    pub format: LogFormat,
    /// `RUST_LOG`: which lines; [`crate::telemetry::DEFAULT_FILTER`] when not set.
    pub filter: Option<String>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where traces will go. It is checked at the start, and a warning says that this version
    /// does not export them yet.
    pub otlp_endpoint: Option<Url>,
}

impl LogConfig {
    /// Reads the three variables.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        Self::read_with(env, LogFormat::Json)
    }

    /// The same for a command at a terminal: what is not set is for a person, and only errors are told amid the answer.
    ///
    /// # Errors
    /// The first that is wrong.
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
