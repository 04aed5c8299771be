//! Bad inputs, as rows: what goes in, the status and code that come out, and that not one row of the database changed.

mod amounts;
mod documents;
mod money_back;
mod signatures;
mod texts;
mod tokens;

use reqwest::Method;
use serde_json::{Value, json};
use wallet_tests::{Answer, TestApp};

/// One wrong request to the GraphQL route and the expected answer.
struct Wrong {
    what: String,
    method: Method,
    path: &'static str,
    token: Option<String>,
    content_type: &'static str,
    body: Vec<u8>,
    status: u16,
    code: Option<&'static str>,
    field: Option<&'static str>,
}

impl Wrong {
    /// A wrong operation with a good token: refused as a result of GraphQL.
    fn operation(what: impl Into<String>, token: &str, query: &str, variables: Value) -> Self {
        Self::body(
            what,
            token,
            json!({ "query": query, "variables": variables }).to_string(),
        )
    }

    /// A wrong body with a good token.
    fn body(what: impl Into<String>, token: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            what: what.into(),
            method: Method::POST,
            path: "/graphql",
            token: Some(token.to_owned()),
            content_type: "application/json",
            body: body.into(),
            status: 200,
            code: Some("VALIDATION_ERROR"),
            field: None,
        }
    }

    fn field(self, field: &'static str) -> Self {
        Self {
            field: Some(field),
            ..self
        }
    }

    fn code(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    async fn answer(&self, app: &TestApp) -> Answer {
        let url = format!("{}{}", app.base(), self.path);
        let mut request = app
            .client()
            .request(self.method.clone(), url)
            .header("content-type", self.content_type);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.body(self.body.clone()).send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            body: response.json().await.unwrap_or_default(),
        }
    }
}

/// Sends every row and compares; reports everything that went wrong, not only the first.
async fn assert_refused(app: &TestApp, rows: &[Wrong]) {
    let before = app.db.digest().await;
    let mut complaints = Vec::new();
    for row in rows {
        let answer = row.answer(app).await;
        let fits = answer.status == row.status
            && (row.code.is_none() || answer.code() == row.code)
            && (row.field.is_none() || answer.field() == row.field);
        if !fits {
            let told = answer.body.to_string().chars().take(300).collect::<String>();
            complaints.push(format!(
                "{}: {} {told}, expected {} {:?} {:?}",
                row.what, answer.status, row.status, row.code, row.field
            ));
        }
        if !reads_well(&answer) {
            complaints.push(format!("{}: does not read well: {}", row.what, answer.message()));
        }
        let text = answer.body.to_string();
        for leak in [
            "SELECT ",
            "INSERT ",
            "diesel",
            "postgres",
            "src/",
            "Did you mean",
            "panicked",
        ] {
            if text.contains(leak) {
                complaints.push(format!("{}: the answer shows {leak:?}: {text}", row.what));
            }
        }
        if app.db.digest().await != before {
            panic!("{}: it changed the database", row.what);
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {} rows:\n{}",
        complaints.len(),
        rows.len(),
        complaints.join("\n")
    );
}

/// A refusal of ours begins with the name of the field and continues with what is wrong with it, without naming it twice. (The engine's
/// own refusals have texts of their own.)
fn reads_well(answer: &Answer) -> bool {
    let field = answer.field().unwrap_or_default();
    let Some(problem) = answer.message().strip_prefix(&format!("{field} ")) else {
        return true;
    };
    let verb = problem.split(' ').next().unwrap_or_default();
    [
        "must", "is", "cannot", "contains", "differs", "asks", "selects", "spreads", "holds", "may", "has",
    ]
    .contains(&verb)
}
