//! The answers of the API.

use serde_json::Value;

/// An HTTP answer with a JSON body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// The result of the only root field.
    ///
    /// # Panics
    /// If there are errors or several fields.
    #[must_use]
    pub fn data(self) -> Value {
        assert!(
            self.body.get("errors").is_none() && self.status == 200,
            "refused: {} {}",
            self.status,
            self.body
        );
        let Value::Object(fields) = &self.body["data"] else {
            panic!("no data: {}", self.body)
        };
        assert_eq!(fields.len(), 1, "one root field is expected: {}", self.body);
        fields.values().next().cloned().unwrap_or_default()
    }

    /// The code of the first error, or `None` if there is no error.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.body["errors"][0]["extensions"]["code"].as_str()
    }

    /// The field that the first error is about.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.body["errors"][0]["extensions"]["field"].as_str()
    }

    /// The message of the first error.
    #[must_use]
    pub fn message(&self) -> &str {
        self.body["errors"][0]["message"].as_str().unwrap_or_default()
    }
}
