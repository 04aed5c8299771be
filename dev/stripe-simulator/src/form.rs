//! Stripe's form encoding: nested keys such as `metadata[k]`, lists such as `expand[]`, and typed access to them.

use std::collections::BTreeMap;

use crate::errors::ApiError;
use crate::money::Currency;

/// Free-form key-value pairs that Stripe stores on most objects.
pub(crate) type Metadata = BTreeMap<String, String>;

/// The parameters of one request, body and query together.
///
/// Keys are kept flat in Stripe's own notation: `created[gte]`, `metadata[order]`, `expand[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params {
    pairs: BTreeMap<String, String>,
}

impl Params {
    /// Decodes `application/x-www-form-urlencoded` text from the query and the body.
    pub(crate) fn decode(query: &str, body: &[u8]) -> Self {
        let mut pairs = BTreeMap::new();
        let mut appended: BTreeMap<String, usize> = BTreeMap::new();
        let decoded = url::form_urlencoded::parse(query.as_bytes()).chain(url::form_urlencoded::parse(body));
        for (key, value) in decoded {
            pairs.insert(number_lists(&key, &mut appended), value.into_owned());
        }
        Self { pairs }
    }

    /// Returns the value under `key`; an empty value counts as absent, as `unset` does at Stripe.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.pairs
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Returns the value under `key` as owned text.
    pub(crate) fn owned(&self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    /// Returns whether `key`, or anything nested below it, was sent at all, even if it is empty.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.pairs.contains_key(key) || self.below(key).next().is_some()
    }

    /// Returns the value under `key`.
    ///
    /// # Errors
    /// `parameter_missing` when it is absent.
    pub(crate) fn required(&self, key: &str) -> Result<&str, ApiError> {
        self.text(key).ok_or_else(|| ApiError::missing_param(key))
    }

    /// Returns the whole number under `key`.
    ///
    /// # Errors
    /// `parameter_invalid_integer` for any other text.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, ApiError> {
        self.text(key)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::invalid_param(key, format!("Invalid integer: {text}"))
                        .code("parameter_invalid_integer")
                })
            })
            .transpose()
    }

    /// Returns the whole number under `amount`, from one minor unit to `largest`.
    ///
    /// # Errors
    /// Stripe's errors for a missing, malformed, non-positive or too large amount.
    pub(crate) fn amount(&self, largest: i64) -> Result<i64, ApiError> {
        let amount = self
            .integer("amount")?
            .ok_or_else(|| ApiError::missing_param("amount"))?;
        check_amount("amount", amount, largest)?;
        Ok(amount)
    }

    /// Returns `true` or `false` from `key`.
    ///
    /// # Errors
    /// Stripe's error for any other text.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, ApiError> {
        match self.text(key) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(ApiError::invalid_param(key, format!("Invalid boolean: {other}"))),
        }
    }

    /// Returns the required currency under `currency`.
    ///
    /// # Errors
    /// Stripe's errors for a missing or unknown currency.
    pub(crate) fn currency(&self) -> Result<Currency, ApiError> {
        Currency::parse(self.required("currency")?)
    }

    /// Returns the list sent as `key[]=…` or `key[0]=…`, in order.
    pub(crate) fn list(&self, key: &str) -> Vec<&str> {
        let mut items: Vec<(usize, &str)> = self
            .below(key)
            .filter_map(|(index, value)| Some((index.parse().ok()?, value)))
            .collect();
        items.sort_unstable();
        items.into_iter().map(|(_, value)| value).collect()
    }

    /// Applies the request's `metadata` to `metadata`: keys are merged, an empty value removes its key,
    /// `metadata=` removes all.
    ///
    /// # Errors
    /// Stripe's limits: 50 keys, 40 characters per key, 500 per value.
    pub(crate) fn update_metadata(&self, metadata: &mut Metadata) -> Result<(), ApiError> {
        let mut updated = metadata.clone();
        if self.pairs.get("metadata").is_some_and(String::is_empty) {
            updated.clear();
        }
        for (key, value) in self.below("metadata") {
            if key.chars().count() > 40 {
                return Err(ApiError::invalid_param(
                    "metadata",
                    format!("Metadata keys cannot be longer than 40 characters: {key}"),
                ));
            }
            if value.chars().count() > 500 {
                return Err(ApiError::invalid_param(
                    &format!("metadata[{key}]"),
                    "Metadata values can have up to 500 characters, but you passed in a longer value."
                        .to_owned(),
                ));
            }
            if value.is_empty() {
                updated.remove(key);
            } else {
                updated.insert(key.to_owned(), value.to_owned());
            }
        }
        if updated.len() > 50 {
            return Err(ApiError::invalid_param(
                "metadata",
                "You can only have up to 50 metadata keys.".to_owned(),
            ));
        }
        *metadata = updated;
        Ok(())
    }

    /// Returns the metadata of a new object.
    ///
    /// # Errors
    /// As [`Params::update_metadata`].
    pub(crate) fn metadata(&self) -> Result<Metadata, ApiError> {
        let mut metadata = Metadata::new();
        self.update_metadata(&mut metadata)?;
        Ok(metadata)
    }

    /// Refuses any top-level parameter that is neither in `known` nor accepted by every endpoint.
    ///
    /// # Errors
    /// `parameter_unknown`, as Stripe answers.
    pub(crate) fn allow_only(&self, known: &[&str]) -> Result<(), ApiError> {
        for key in self.pairs.keys() {
            let head = key.split('[').next().unwrap_or(key);
            if head != "expand" && !known.contains(&head) {
                return Err(ApiError::unknown_param(head));
            }
        }
        Ok(())
    }

    fn below<'a>(&'a self, key: &str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let prefix = format!("{key}[");
        self.pairs
            .range(prefix.clone()..)
            .map_while(move |(name, value)| {
                let rest = name.strip_prefix(prefix.as_str())?;
                Some((rest.strip_suffix(']').unwrap_or(rest), value.as_str()))
            })
    }
}

/// Checks an amount against Stripe's bounds; `param` names it in the error.
///
/// # Errors
/// Stripe's errors for a non-positive or too large amount.
pub(crate) fn check_amount(param: &str, amount: i64, largest: i64) -> Result<(), ApiError> {
    if amount < 1 {
        return Err(ApiError::invalid_param(
            param,
            "This value must be greater than or equal to 1.".to_owned(),
        )
        .code("parameter_invalid_integer"));
    }
    if amount > largest {
        return Err(
            ApiError::invalid_param(param, format!("Amount must be no more than {largest}"))
                .code("amount_too_large"),
        );
    }
    Ok(())
}

/// Turns `a[]` into `a[0]`, `a[1]`, … in the order of appearance.
fn number_lists(key: &str, appended: &mut BTreeMap<String, usize>) -> String {
    let Some(stem) = key.strip_suffix("[]") else {
        return key.to_owned();
    };
    let next = appended.entry(stem.to_owned()).or_default();
    let numbered = format!("{stem}[{next}]");
    *next += 1;
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_keys_and_lists_are_decoded() {
        let params = Params::decode(
            "limit=3&created[gte]=5",
            b"metadata[a]=1&metadata[b]=x%20y&expand[]=one&expand[]=two",
        );
        assert_eq!(params.integer("limit").unwrap(), Some(3));
        assert_eq!(params.text("created[gte]"), Some("5"));
        assert_eq!(params.list("expand"), ["one", "two"]);
        assert_eq!(
            params.metadata().unwrap().get("b").map(String::as_str),
            Some("x y")
        );
        assert!(params.has("metadata") && !params.has("meta"));
    }

    #[test]
    fn lists_of_more_than_ten_keep_their_order() {
        let body: String = (0..12).map(|n| format!("a[{n}]=v{n}&")).collect();
        let items = Params::decode("", body.as_bytes());
        assert_eq!(items.list("a").last(), Some(&"v11"));
    }

    #[test]
    fn metadata_is_merged_and_cleared_as_stripe_does() {
        let mut metadata = Metadata::from([("a".into(), "1".into()), ("b".into(), "2".into())]);
        Params::decode("", b"metadata[a]=&metadata[c]=3")
            .update_metadata(&mut metadata)
            .unwrap();
        assert_eq!(
            metadata.keys().map(String::as_str).collect::<Vec<_>>(),
            ["b", "c"]
        );
        Params::decode("", b"metadata=")
            .update_metadata(&mut metadata)
            .unwrap();
        assert!(metadata.is_empty());
    }

    #[test]
    fn an_unknown_parameter_is_refused() {
        assert!(
            Params::decode("", b"amount=1&colour=red")
                .allow_only(&["amount"])
                .is_err()
        );
        assert!(
            Params::decode("", b"amount=1&expand[]=x")
                .allow_only(&["amount"])
                .is_ok()
        );
    }
}
