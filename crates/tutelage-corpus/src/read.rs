//! The stage `read`: whatever holds documents becomes JSONL.

use serde_json::json;

use crate::job::{At, DocumentStage, Tally};
use crate::{Reason, Record};

/// Reads files of every kind. Pages come out with their HTML in the field `html`, for the stage `format`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Read;

impl DocumentStage for Read {
    type Worker = ();

    fn name(&self) -> &'static str {
        "read"
    }

    fn settings(&self) -> serde_json::Value {
        json!({})
    }

    fn worker(&self) {}

    fn needs_text(&self) -> bool {
        false
    }

    fn apply(&self, (): &mut (), record: &mut Record, _: At, _: &mut Tally) -> Result<(), Reason> {
        if record.has_text() {
            return if record.text.trim().is_empty() { Err(Reason::Empty) } else { Ok(()) };
        }
        match record.get(crate::input::HTML_FIELD) {
            Some(_) => Ok(()),
            None => Err(Reason::NoText),
        }
    }
}
