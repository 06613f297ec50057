//! Run folder to tables, plots and HTML. Depends on the run folder's records alone: no model, no engine.
//!
//! # Tour
//! - [`RunData::read`] reads `summary.json` and every model's metrics.
//! - [`table`] is the comparison as text; [`verdict`] says in words whether teaching helped.
//! - [`claims`] and [`markdown`] say what a recipe was to find out, and what its noise allows.
//! - [`write_html`] writes `report.html`: one file, plots as inline SVG, light and dark.
//! - [`DataReport`] and [`write_data_html`]: the same for stages over documents.

mod bars;
mod chart;
mod claims;
mod data;
mod html;
mod page;
mod read;
mod table;
mod verdict;

pub use claims::{claims, markdown};
pub use data::{DataReport, StageReport, write_data_html};
pub use page::write_html;
pub use read::{ModelData, ReportError, RunData};
pub use table::table;
pub use verdict::verdict;
