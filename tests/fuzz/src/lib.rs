//! What must hold whatever comes in: one module for each thing that parses. The fuzz targets feed
//! them with whatever they can think of, and the ordinary tests with what has been kept of that.

pub mod dialects;
pub mod envelope;
pub mod head;
pub mod ids;
pub mod resp;
mod rules;
