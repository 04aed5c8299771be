//! Hand-written SQL that PostgreSQL prepares once per connection.
//!
//! `diesel::sql_query` is prepared again at every use, which costs a second round trip each time. The statements here are
//! constants, so their text is the key of diesel's statement cache.

use std::marker::PhantomData;

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};

/// A constant SQL text with its bound values, `$1` first.
#[derive(Debug, Clone, Copy)]
#[must_use = "a statement does nothing until it is executed"]
pub struct Sql<Binds = NoBinds> {
    text: &'static str,
    binds: Binds,
}

/// No bound values yet.
#[derive(Debug, Clone, Copy)]
pub struct NoBinds;

/// A bound value, with those bound before it.
#[derive(Debug, Clone, Copy)]
pub struct Bind<Before, Value, SqlType> {
    before: Before,
    value: Value,
    sql_type: PhantomData<SqlType>,
}

/// Creates a statement of constant text; bind its values in the order of their numbers.
pub const fn sql(text: &'static str) -> Sql {
    Sql { text, binds: NoBinds }
}

impl<Binds> Sql<Binds> {
    /// Binds the next value as the SQL type `ST`.
    pub fn bind<ST, Value>(self, value: Value) -> Sql<Bind<Binds, Value, ST>> {
        Sql {
            text: self.text,
            binds: Bind {
                before: self.binds,
                value,
                sql_type: PhantomData,
            },
        }
    }
}

impl<Binds: QueryFragment<Pg>> QueryFragment<Pg> for Sql<Binds> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.text);
        self.binds.walk_ast(out)
    }
}

impl QueryFragment<Pg> for NoBinds {
    fn walk_ast<'b>(&'b self, _out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        Ok(())
    }
}

impl<Before, Value, ST> QueryFragment<Pg> for Bind<Before, Value, ST>
where
    Before: QueryFragment<Pg>,
    Pg: HasSqlType<ST>,
    Value: ToSql<ST, Pg>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.before.walk_ast(out.reborrow())?;
        out.push_bind_param_value_only(&self.value)
    }
}

impl<Binds> QueryId for Sql<Binds> {
    type QueryId = ();
    // Without a static id, the cache uses the text as its key.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Binds> Query for Sql<Binds> {
    type SqlType = Untyped;
}
