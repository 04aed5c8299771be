mod cases;
mod edges;
mod page;
