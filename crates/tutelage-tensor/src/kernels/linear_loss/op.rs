//! The end of the tape.

use super::super::by_dtype;
#[cfg(target_arch = "x86_64")]
use super::blocks;
use super::{LogitObjective, TeacherLogits, chunks};
use crate::{Grads, NodeGrads, ParamId, Params, Tape, Tensor, Var};

impl Tape<'_> {
    /// The objective's terms, summed over the rows of `hidden`; no gradient.
    pub fn linear_loss(
        &self,
        hidden: &Var,
        head: ParamId,
        teacher: Option<&TeacherLogits<'_>>,
        objective: &dyn LogitObjective,
    ) -> Vec<f64> {
        check(self.params(), head, teacher);
        run(self.params(), head, hidden.value(), teacher, objective, None)
    }

    /// The same, then unwinds the tape; gradients of all parameters are added to `grads`, those of leaves
    /// are returned beside the terms.
    pub fn linear_loss_backward(
        self,
        hidden: &Var,
        head: ParamId,
        teacher: Option<&TeacherLogits<'_>>,
        objective: &dyn LogitObjective,
        grads: &mut Grads,
    ) -> (Vec<f64>, NodeGrads) {
        check(self.params(), head, teacher);
        let value = hidden.value();
        let mut d_hidden = by_dtype!(value.dtype(), T => {
            Tensor::new(value.shape(), self.device().buffer::<T>(value.slice::<T>().len()))
        });
        let backward = Some((&mut *grads, &mut d_hidden));
        let terms = run(self.params(), head, value, teacher, objective, backward);
        let leaves = self.backward(hidden, d_hidden, grads);
        (terms, leaves)
    }
}

/// In blocks of the vocabulary where machine and objective allow it, else in chunks of rows.
fn run(
    params: &Params,
    head: ParamId,
    hidden: &Tensor,
    teacher: Option<&TeacherLogits<'_>>,
    objective: &dyn LogitObjective,
    backward: Option<(&mut Grads, &mut Tensor)>,
) -> Vec<f64> {
    #[cfg(target_arch = "x86_64")]
    if let Some(softmax) = objective.as_softmax(teacher.is_some())
        && let alone = teacher.map(|teacher| teacher.plain(hidden.dims2().0, params.get(head).shape()[0]))
        && alone.is_none_or(|alone| alone.is_some())
        && let teacher = alone.flatten()
        && let teacher_dtype = teacher.map_or(hidden.dtype(), |teacher| teacher.hidden.dtype())
        && blocks::suits(params.device().isa(), hidden.dtype(), teacher_dtype)
    {
        return blocks::run(params, head, hidden, teacher, softmax, objective.n_terms(), backward);
    }
    chunks::run(params, head, hidden, teacher, objective, backward)
}

fn check(params: &Params, head: ParamId, teacher: Option<&TeacherLogits<'_>>) {
    for member in teacher.iter().flat_map(|teacher| teacher.members()) {
        let (ours, theirs) = (params.get(head).shape()[0], member.vocabulary);
        assert!(theirs <= ours, "vocabularies of student and teacher; compared when the teacher is made");
    }
}
