//! Builds the schema, with the engine's own limits as a second line of defence behind [`super::limits`].

use std::sync::Arc;

use async_graphql::{Schema, SchemaBuilder};

use super::answer::Answers;
use super::codes::Codes;
use super::limits::{MAX_DEPTH, MAX_FIELDS, MAX_INTROSPECTION};
use super::mutations::Mutation;
use super::query::Query;
use super::subscription::Subscription;
use crate::state::App;

/// The schema of the API.
pub(crate) type ApiSchema = Schema<Query, Mutation, Subscription>;

/// The maximum nesting depth of selections where introspection is allowed: the usual introspection query is deep and wide.
const INTROSPECTION_DEPTH: usize = 32;

/// Builds the schema that serves `app`.
pub(crate) fn build(app: Arc<App>) -> ApiSchema {
    let schema = limited(builder(), app.graphiql);
    schema.data(app).finish()
}

/// Returns the schema in GraphQL's schema definition language, as committed in `schema.graphql`.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation::default(), Subscription)
        .extension(Codes)
        .extension(Answers::default())
}

fn limited(
    schema: SchemaBuilder<Query, Mutation, Subscription>,
    introspection: bool,
) -> SchemaBuilder<Query, Mutation, Subscription> {
    // A plan has one more field in each object, which shows whether the object exists.
    if introspection {
        schema
            .limit_recursive_depth(INTROSPECTION_DEPTH)
            .limit_depth(INTROSPECTION_DEPTH)
            .limit_complexity(2 * MAX_INTROSPECTION)
    } else {
        schema
            .limit_recursive_depth(MAX_DEPTH + 1)
            .limit_depth(MAX_DEPTH + 1)
            .limit_complexity(2 * MAX_FIELDS)
            .disable_introspection()
            .disable_suggestions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_SCHEMA=1 cargo test -p wallet-api schema` rewrites the file.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for the person who runs the test"
    )]
    fn the_committed_schema_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, sdl()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == sdl(),
            "api/schema.graphql is not up to date: UPDATE_SCHEMA=1 cargo test -p wallet-api schema"
        );
    }
}
