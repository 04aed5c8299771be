mod cases;
mod edges;
mod notes;
mod page;
