//! The scalars of the schema: `Decimal` and `DateTime`. `JSON` is the engine's own.

mod date_time;
mod decimal;

pub(super) use date_time::DateTime;
pub(super) use decimal::Decimal;
