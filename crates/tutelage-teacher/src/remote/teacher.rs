//! A server that is asked while the student learns.

use tutelage_loss::{SparseTargets, Targets, Teacher, TeacherError, TeacherInput};

use super::RemoteSource;
use super::source::Asked;

/// Supplies a server's most likely entries, asked for each batch.
#[derive(Debug)]
pub struct RemoteTeacher {
    source: RemoteSource,
}

impl RemoteTeacher {
    /// A teacher.
    pub fn new(source: RemoteSource) -> Self {
        Self { source }
    }
}

impl Teacher for RemoteTeacher {
    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        let asked = Asked { ids: input.ids, documents: input.documents, labels: input.labels };
        let mut out = SparseTargets::new();
        for row in self.source.rows_of(asked)? {
            out.ids.extend(row.iter().map(|entry| entry.0));
            out.values.extend(row.iter().map(|entry| entry.1));
            out.end_row();
        }
        Ok(Targets::TopPK(out))
    }
}
