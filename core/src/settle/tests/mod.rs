mod again;
mod fees;
mod lives;
mod order;
mod owing;
mod refunds;
mod schedule;
mod world;
