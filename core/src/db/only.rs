//! Rows of one column, for statements that are written as text.

use std::marker::PhantomData;

use diesel::QueryableByName;
use diesel::deserialize::{self, FromSql};
use diesel::pg::Pg;
use diesel::row::{Field, NamedRow, Row};

/// The only column of a row, whatever its name: of the SQL type `ST`, read as a `T`.
pub(crate) struct Only<ST, T> {
    pub(crate) value: T,
    sql_type: PhantomData<ST>,
}

impl<ST, T: FromSql<ST, Pg>> QueryableByName<Pg> for Only<ST, T> {
    fn build<'a>(row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        let column = Row::get(row, 0).ok_or("the row has no column")?;
        Ok(Self {
            value: T::from_nullable_sql(column.value())?,
            sql_type: PhantomData,
        })
    }
}
