//! Logs: one subscriber per process, which writes to standard error.
//!
//! Log lines contain ids, never secrets or personal data. Libraries that would log request headers, SQL parameters or Redis
//! commands at their verbose levels are capped at `warn` whatever `RUST_LOG` is, so that raising the log level in an incident
//! does not write keys to a file.

use std::fmt;
use std::io::IsTerminal;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// The filter when `RUST_LOG` is not set.
pub const DEFAULT_FILTER: &str = "info";

/// Crates that may log what must not be logged: headers with keys, statements with values, commands with payloads.
const CAPPED: [&str; 20] = [
    "apalis",
    "apalis_core",
    "apalis_redis",
    "async_stripe",
    "diesel",
    "diesel_async",
    "diesel_migrations",
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "redis",
    "reqwest",
    "rslock",
    "rustls",
    "stripe",
    "stripe_client_core",
    "tokio_postgres",
    "tokio_postgres_rustls",
    "tower",
];

/// Crates of Stripe's objects, capped at `error`. Their only lines warn of enum values that they do not know, such as a new event type, every
/// time one is read: four of five lines of a worker. They need no warning, since such values are handled where they are read.
const NOISY: [&str; 6] = [
    "stripe_billing",
    "stripe_connect",
    "stripe_core",
    "stripe_payment",
    "stripe_shared",
    "stripe_types",
];

/// The reason why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not understood.
    #[error("the log filter is not understood")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// The process has a subscriber already.
    #[error("logging is set up already")]
    Already(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts logging for this process. Each JSON line names `service`, such as `wallet-api`.
///
/// # Errors
/// When the filter is not understood, or when logging is set up already.
pub fn init(service: &str, logs: &LogConfig) -> Result<(), TelemetryError> {
    let ansi = std::io::stderr().is_terminal();
    subscriber(service, logs, std::io::stderr, ansi)?
        .try_init()
        .map_err(TelemetryError::Already)?;
    if logs.otlp_endpoint.is_some() {
        tracing::warn!(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and does nothing: this version does not export traces"
        );
    }
    Ok(())
}

fn subscriber<W>(
    service: &str,
    logs: &LogConfig,
    writer: W,
    ansi: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(logs.filter.as_deref().unwrap_or(DEFAULT_FILTER))
        .map_err(TelemetryError::Filter)?;
    let registry = tracing_subscriber::registry()
        .with(filter_fn(may_be_logged))
        .with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    Ok(match logs.format {
        LogFormat::Json => Box::new(
            registry.with(
                lines
                    .fmt_fields(JsonFields::new())
                    .event_format(WithService::new(service))
                    .with_ansi(false),
            ),
        ),
        LogFormat::Pretty => Box::new(registry.with(lines.with_ansi(ansi))),
    })
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    let most = if NOISY.contains(&root) {
        Level::ERROR
    } else if CAPPED.contains(&root) {
        Level::WARN
    } else {
        return true;
    };
    *metadata.level() <= most
}

/// Formats events as JSON lines that begin with the service's name.
struct WithService {
    json: Format<Json>,
    /// The name as a JSON string.
    service: String,
}

impl WithService {
    fn new(service: &str) -> Self {
        let json = Format::default()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false);
        Self {
            json,
            service: serde_json::Value::from(service).to_string(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for WithService
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.json.format_event(context, Writer::new(&mut line), event)?;
        let rest = line.strip_prefix('{').ok_or(fmt::Error)?;
        write!(writer, "{{\"service\":{},{rest}", self.service)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: Option<&str>, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let logs = LogConfig {
            format,
            filter: filter.map(str::to_owned),
            otlp_endpoint: None,
        };
        let writer = lines.clone();
        let subscriber = subscriber("wallet-api", &logs, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_json_line_carries_service_level_fields_and_span() {
        let text = logged(LogFormat::Json, None, || {
            let _span = tracing::info_span!("job", job_id = 7).entered();
            tracing::info!(attempt = 2, "started \"well\"");
            tracing::debug!("not by default");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["service"], "wallet-api");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "started \"well\"");
        assert_eq!(line["attempt"], 2);
        assert_eq!(line["span"]["job_id"], 7);
        assert_eq!(line["target"], "wallet_core::telemetry::tests");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn talkative_libraries_stay_capped_however_loud_the_filter() {
        for filter in ["trace", "hyper=trace,stripe_client_core=trace,info"] {
            for format in [LogFormat::Json, LogFormat::Pretty] {
                let text = logged(format, Some(filter), || {
                    tracing::trace!(target: "hyper::proto::h1", "authorization: Bearer sk_test_canary");
                    tracing::info!(target: "stripe_client_core", "sk_test_canary");
                    tracing::debug!(target: "tokio_postgres::query", "canary");
                    tracing::warn!(target: "hyper", "connection lost");
                    tracing::info!(target: "wallet_core", "ours");
                });
                assert!(!text.contains("canary"), "{text}");
                assert!(
                    text.contains("connection lost") && text.contains("ours"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_filter_that_is_not_understood_is_an_error() {
        let logs = LogConfig {
            filter: Some("wallet_core=loud".to_owned()),
            ..LogConfig::default()
        };
        assert!(matches!(
            subscriber("x", &logs, std::io::sink, false),
            Err(TelemetryError::Filter(_))
        ));
    }
}
