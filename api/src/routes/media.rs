//! The media type of an answer, one of the two of GraphQL over HTTP
//! (<https://graphql.github.io/graphql-over-http/draft/#sec-Media-Types>).

use axum::http::{HeaderMap, HeaderValue, header};

/// The media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/graphql-response+json`: the status says whether the request was executed, and a client may read every body.
    GraphqlResponse,
    /// `application/json`, for clients that know no other type: a request that was understood is answered with 200.
    Json,
}

const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";
const JSON: &str = "application/json";
const PAGE: &str = "text/html";

/// The kind of answer that the client of a GET request prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preference {
    /// A page, which browsers prefer.
    Page,
    /// An answer of GraphQL.
    Answer,
    /// Any kind.
    Any,
}

impl Preference {
    /// Returns the preference that a client states.
    pub(super) fn stated(headers: &HeaderMap) -> Self {
        let answer = named(headers, GRAPHQL_RESPONSE)
            .max(named(headers, JSON))
            .unwrap_or(0);
        match named(headers, PAGE).unwrap_or(0) {
            page if page > answer => Self::Page,
            _ if answer > 0 => Self::Answer,
            _ => Self::Any,
        }
    }
}

/// Returns the weight that a client gives to a type, or `None` if it does not name the type. The last mention counts.
fn named(headers: &HeaderMap, wanted: &str) -> Option<u32> {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| {
            let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
            kind.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| quality(parameters))
        })
        .next_back()
}

impl Media {
    /// Returns the type that a client prefers: the newer one if it is named, with no less weight than the other.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let newer = named(headers, GRAPHQL_RESPONSE).unwrap_or(0);
        let older = named(headers, JSON).unwrap_or(0);
        if newer > 0 && newer >= older {
            Self::GraphqlResponse
        } else {
            Self::Json
        }
    }

    /// Returns the value of `Content-Type`.
    pub(super) const fn content_type(self) -> HeaderValue {
        match self {
            Self::GraphqlResponse => {
                HeaderValue::from_static("application/graphql-response+json; charset=utf-8")
            }
            Self::Json => HeaderValue::from_static("application/json"),
        }
    }
}

/// Returns a weight in thousandths (RFC 9110, section 12.4.2); the weight is 1 if it is omitted.
fn quality(parameters: &str) -> u32 {
    let weight = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(weight) = weight else { return 1_000 };
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, thousandths.parse()) {
        ("0", Ok(thousandths)) => thousandths,
        ("1", Ok(_)) => 1_000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_wishes_a_page_and_a_client_of_graphql_an_answer() {
        for (accept, wish) in [
            (None, Preference::Any),
            (Some("*/*"), Preference::Any),
            (Some("image/png"), Preference::Any),
            // Firefox and Chrome, when an address is typed.
            (
                Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                Preference::Page,
            ),
            (Some("text/html"), Preference::Page),
            (Some("text/html;q=0.5, application/json;q=0.4"), Preference::Page),
            (Some("text/html;q=0.5, application/json"), Preference::Answer),
            (Some("text/html;q=0, */*"), Preference::Any),
            (Some("application/json"), Preference::Answer),
            // What urql sends.
            (
                Some(
                    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
                ),
                Preference::Answer,
            ),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(Preference::stated(&headers), wish, "{accept:?}");
        }
    }

    #[test]
    fn the_newer_type_is_given_to_those_who_name_it_and_like_it_no_less() {
        for (accept, media) in [
            (None, Media::Json),
            (Some("*/*"), Media::Json),
            (Some("application/json"), Media::Json),
            (Some("text/html"), Media::Json),
            (Some("application/graphql-response+json"), Media::GraphqlResponse),
            (
                Some("Application/GraphQL-Response+JSON;charset=utf-8"),
                Media::GraphqlResponse,
            ),
            // What Apollo Client, urql and Relay send.
            (
                Some("application/graphql-response+json,application/json;q=0.9"),
                Media::GraphqlResponse,
            ),
            (
                Some(
                    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream",
                ),
                Media::GraphqlResponse,
            ),
            (
                Some("application/graphql-response+json;q=0.5, application/json"),
                Media::Json,
            ),
            (Some("application/graphql-response+json;q=0"), Media::Json),
            (Some("application/graphql-response+json;q=0.0, */*"), Media::Json),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(Media::accepted(&headers), media, "{accept:?}");
        }
    }
}
