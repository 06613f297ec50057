//! The distance on the tape.

use std::ops::Range;
use std::sync::Arc;

use super::super::forward::Inputs;
use super::forward::{LogSums, Pair, forward};
use super::{AttentionMaps, TeacherMaps, backward};
use crate::kernels::by_dtype;
use crate::tape::{Backward, Loss};
use crate::{Buffer, Tape, Tensor, Var};

/// Rows that are compared, and how.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Rows of each document.
    pub documents: Arc<[Range<usize>]>,
    /// Rows whose queries are compared `[t]`.
    pub chosen: Arc<[bool]>,
    /// What the gradient is multiplied by.
    pub scale: f32,
}

struct AttentionKl {
    student: AttentionMaps,
    teacher: Arc<TeacherMaps>,
    compared: Compared,
    node: Option<usize>,
    lse: (Buffer<f32>, Buffer<f32>),
}

impl<'p> Loss<'p> for AttentionKl {
    fn backward(self: Box<Self>, cx: &mut Backward<'_, 'p>) {
        let device = cx.device();
        let qkv = &self.student.qkv;
        let dqkv = by_dtype!(qkv.dtype(), T => {
            let pair = pair::<T>(&self.student, &self.teacher, &self.compared);
            let mut dqkv = device.zeros::<T>(pair.student.qkv.len());
            let scale = self.compared.scale;
            device.timed("attention distance backward", || {
                backward::backward(device, &pair, (&self.lse.0, &self.lse.1), scale, &mut dqkv);
            });
            Tensor::new(qkv.shape(), dqkv)
        });
        cx.add(self.node, dqkv);
    }
}

fn pair<'a, T: crate::Element>(
    student: &'a AttentionMaps,
    teacher: &'a TeacherMaps,
    compared: &'a Compared,
) -> Pair<'a, T> {
    let student = Inputs {
        shape: student.shape,
        rope: &student.rope,
        positions: &student.places,
        documents: &compared.documents,
        qkv: student.qkv.slice(),
    };
    Pair { student, teacher, chosen: &compared.chosen }
}

impl Tape<'_> {
    /// `KL(A_teacher || A_student)` summed over heads and chosen rows; the tape is unwound from it too, times the scale.
    ///
    /// `student` are the maps that `qkv`, its queries, keys and values, make.
    ///
    /// # Panics
    /// When the models have different numbers of heads, or the teacher sees a key that the student does not.
    pub fn attention_kl(
        &mut self,
        qkv: &Var,
        student: AttentionMaps,
        teacher: &Arc<TeacherMaps>,
        compared: &Compared,
    ) -> f64 {
        let (t, s) = (student.places.len(), student.shape);
        assert_eq!(t, compared.chosen.len(), "attention maps: rows");
        for (_, maps) in &teacher.parts {
            assert_eq!(s.n_heads, maps.shape.n_heads, "attention maps: heads");
            let sees = s.window.is_none_or(|ours| maps.shape.window.is_some_and(|theirs| theirs <= ours));
            assert!(sees, "a window of {:?} for a teacher's of {:?}", s.window, maps.shape.window);
        }
        let device = self.device();
        let mut lse = (device.zeros(s.n_heads * t), device.zeros(s.n_heads * t));
        let value = by_dtype!(student.qkv.dtype(), T => {
            let pair = pair::<T>(&student, teacher, compared);
            let lse = LogSums { student: &mut lse.0, teacher: &mut lse.1 };
            device.timed("attention distance", || forward(device, &pair, lse))
        });
        let (teacher, compared, node) = (Arc::clone(teacher), compared.clone(), qkv.node());
        self.record_loss(|| Box::new(AttentionKl { student, teacher, compared, node, lse }));
        value
    }
}
