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
        self.source.rows_of(asked)?.into_iter().for_each(|row| out.push_row(row));
        Ok(Targets::TopPK(out))
    }
}
