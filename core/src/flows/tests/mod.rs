mod cases;
mod contradictions;
mod edges;
mod notes;
mod page;
