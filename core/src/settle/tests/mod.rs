mod again;
mod fees;
mod lives;
mod owing;
mod refunds;
mod world;
