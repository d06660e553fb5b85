//! What the benchmarks share: cases in processes of their own, placement on processors, figures, and the form of a result.

mod case;
mod figures;
mod floor;
mod place;
mod placement;

pub use case::{Arguments, Case, alternate};
pub use figures::{Figure, Rounds, median_micros, percentile_micros};
pub use floor::Reference;
pub use place::{Child, Place, patiently};
pub use placement::Placement;

/// What can go wrong in a benchmark is printed, and ends it.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
