mod again;
mod debt;
mod fees;
mod lives;
mod order;
mod refunds;
mod schedule;
mod world;
