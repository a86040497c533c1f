//! Properties that hold for any input: one module for each parser. The fuzz targets call them with
//! generated inputs, and the ordinary tests with the inputs kept in the corpus.

pub mod dialects;
pub mod envelope;
pub mod head;
pub mod ids;
pub mod journal;
pub mod resp;
mod rules;
