//! Sets the code of every error that leaves the schema, and keeps internal texts inside.

use std::sync::Arc;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextRequest, NextSubscribe,
};
use async_graphql::{ErrorExtensionValues, Response, ServerError};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use wallet_core::error_chain::chain;
use wallet_core::money::AmountError;

use crate::errors::{ApiError, INTERNAL, VALIDATION_ERROR};
use crate::metrics::count_error;
use crate::request_id::RequestId;

/// Sets `extensions.code` of every error of a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Codes;

impl ExtensionFactory for Codes {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for Codes {
    /// Handles errors of parsing and validation; the request's own data is not available yet.
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        with_codes(next.run(ctx).await, None)
    }

    /// Handles errors of resolvers, with the request's id.
    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        with_codes(next.run(ctx, operation_name).await, ctx.data_opt())
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        let id = ctx.data_opt::<RequestId>().cloned();
        next.run(ctx, stream)
            .map(move |response| with_codes(response, id.as_ref()))
            .boxed()
    }
}

fn with_codes(mut response: Response, id: Option<&RequestId>) -> Response {
    for error in &mut response.errors {
        let told = error
            .extensions
            .as_ref()
            .is_some_and(|told| told.get("code").is_some());
        if !told {
            set_code(error, id);
        }
    }
    response
}

/// Returns a response that consists of one [`ApiError`].
pub(crate) fn refusal(error: &ApiError, id: Option<&RequestId>) -> Response {
    Response::from_errors(vec![coded(error, id)])
}

/// Converts an [`ApiError`] into an error of GraphQL.
fn coded(error: &ApiError, id: Option<&RequestId>) -> ServerError {
    let mut told = ServerError::new(error.to_string(), None);
    tell(&mut told, error, id);
    told
}

/// Sets the code by the origin of an error: an [`ApiError`] carries itself as its source, the engine's own refusals (syntax,
/// types, limits) have no source, and an error with any other source was never meant to be seen.
fn set_code(error: &mut ServerError, id: Option<&RequestId>) {
    if let Some(ours) = error
        .source
        .clone()
        .and_then(|source| source.downcast::<ApiError>().ok())
    {
        tell(error, &ours, id);
    } else if error.source.is_some() {
        let stray = ApiError::internal(std::mem::take(&mut error.message));
        error.message = stray.to_string();
        tell(error, &stray, id);
    } else {
        let field = field_of(&error.message);
        if is_no_amount(&error.message) {
            error.message = format!("{field} {}", AmountError::NotANumber);
        }
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("code", VALIDATION_ERROR);
        extensions.set("field", field);
        count_error(VALIDATION_ERROR);
    }
    error.source = None;
}

fn tell(told: &mut ServerError, error: &ApiError, id: Option<&RequestId>) {
    let request_id = id.map(RequestId::as_str);
    let extensions: &mut ErrorExtensionValues = told.extensions.get_or_insert_default();
    extensions.set("code", error.code());
    if let Some(field) = error.field() {
        extensions.set("field", field);
    }
    match error {
        ApiError::RateLimited { retry_after } | ApiError::Paused { retry_after } => {
            extensions.set("retryAfter", *retry_after);
        }
        ApiError::Internal(_) => {
            extensions.set("requestId", request_id);
            tracing::error!(request_id, error = chain(error), "{INTERNAL}");
        }
        ApiError::Unavailable(_) | ApiError::UnavailableToKey(_) => {
            tracing::warn!(request_id, error = chain(error), "not available");
        }
        _ => {}
    }
    count_error(error.code());
}

/// Returns whether the engine refuses a value that is no text and no number as an amount; it is reported like other amounts.
fn is_no_amount(message: &str) -> bool {
    message.starts_with("Invalid value for argument ") && message.ends_with(", expected type \"Decimal\"")
}

/// Returns the field that one of the engine's messages is about, with its whole path within the input. The message quotes it after `field`,
/// or after `argument` with its path. Other messages are about the document, or about the variables sent with it.
fn field_of(message: &str) -> String {
    let quoted = |label: &str| message.split_once(label)?.1.split_once('"').map(|(name, _)| name);
    let Some(path) = quoted("argument \"") else {
        return if message.starts_with("Variable") {
            "variables".to_owned()
        } else {
            "query".to_owned()
        };
    };
    let within = path.strip_prefix("input.");
    match (
        within,
        quoted(", field \"").or_else(|| quoted(", unknown field \"")),
    ) {
        (Some(within), Some(name)) => format!("{within}.{name}"),
        (None, Some(name)) => name.to_owned(),
        (within, None) => within.unwrap_or(path).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use wallet_core::db::DbError;

    use super::*;

    fn told(error: impl Into<async_graphql::Error>) -> serde_json::Value {
        let mut error = error.into().into_server_error(async_graphql::Pos::default());
        set_code(&mut error, None);
        serde_json::to_value(&error).unwrap()
    }

    #[test]
    fn our_errors_keep_their_text_and_get_their_code() {
        let error = told(ApiError::validation("amount", "must be greater than zero"));
        assert_eq!(error["message"], "amount must be greater than zero");
        assert_eq!(error["extensions"]["code"], "VALIDATION_ERROR");
        assert_eq!(error["extensions"]["field"], "amount");
        for paused in [
            ApiError::RateLimited { retry_after: 7 },
            ApiError::Paused { retry_after: 7 },
        ] {
            assert_eq!(told(paused)["extensions"]["retryAfter"], 7);
        }
        let missing = ApiError::WalletNotFound { field: "walletId" };
        for (error, code, field) in [
            (missing.clone(), "WALLET_NOT_FOUND", "walletId"),
            (
                missing.of_wallet_in("fromWalletId"),
                "WALLET_NOT_FOUND",
                "fromWalletId",
            ),
            (ApiError::PayeeNotFound, "WALLET_NOT_FOUND", "toWalletId"),
            (ApiError::PayeeInactive, "WALLET_INACTIVE", "toWalletId"),
            (ApiError::CurrencyMismatch, "CURRENCY_MISMATCH", "toWalletId"),
            (ApiError::InsufficientFunds, "INSUFFICIENT_FUNDS", "amount"),
        ] {
            let error = told(error);
            assert_eq!(error["extensions"]["code"], code);
            assert_eq!(error["extensions"]["field"], field, "{code}");
        }
    }

    #[test]
    fn a_stray_error_is_masked() {
        let cause = DbError::Inconsistent {
            table: "wallets",
            column: "currency",
            row: "canary".to_owned(),
        };
        for error in [
            told(ApiError::from(cause)),
            told(std::io::Error::other("/etc/canary: SELECT 1")),
        ] {
            assert_eq!(error["extensions"]["code"], "INTERNAL");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_an_amount_is_told_as_every_wrong_amount() {
        let message = "Invalid value for argument \"input.amount\", expected type \"Decimal\"";
        let error = told(async_graphql::Error::new(message));
        assert_eq!(
            error["message"],
            "amount must be a plain decimal number such as \"12.50\""
        );
        assert_eq!(error["extensions"]["field"], "amount");
    }

    #[test]
    fn what_the_engine_refuses_is_a_validation_error_with_a_field() {
        for (message, field) in [
            (
                "Invalid value for argument \"input.amount\", expected type \"Decimal\"",
                "amount",
            ),
            (
                "Invalid value for argument \"walletId\", expected type \"String\"",
                "walletId",
            ),
            (
                "Invalid value for argument \"input\", unknown field \"balance\" of type \"DepositInput\"",
                "balance",
            ),
            (
                "Invalid value for argument \"input\", field \"amount\" of type \"Decimal!\" is required but not provided",
                "amount",
            ),
            (
                "Invalid value for argument \"input.bankDetails\", field \"accountNumber\" of type \"String!\" is required but not provided",
                "bankDetails.accountNumber",
            ),
            (
                "Field \"wallet\" argument \"id\" of type \"Query\" is required but not provided",
                "id",
            ),
            ("Variable \"x\" is not defined", "variables"),
            ("Unknown field \"x\" on type \"Wallet\".", "query"),
        ] {
            let error = told(async_graphql::Error::new(message));
            assert_eq!(error["extensions"]["code"], "VALIDATION_ERROR");
            assert_eq!(error["extensions"]["field"], field, "{message}");
        }
    }
}
