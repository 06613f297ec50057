//! `[[claims]]`: what a recipe is to find out.

use serde::{Deserialize, Serialize};

/// `[[claims]]`: runs beside others, and what a paper says of the like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimSpec {
    /// What is asked.
    pub title: String,
    /// Runs that are compared.
    pub rows: Vec<ClaimRowSpec>,
}

/// `[[claims.rows]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRowSpec {
    /// Name of a run.
    pub run: String,
    /// Name of the run that it is compared with, of the same seeds.
    pub against: String,
    /// Value of `data.route_field` over whose held-out documents losses are compared; over all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// What the paper found.
    pub paper: String,
}
