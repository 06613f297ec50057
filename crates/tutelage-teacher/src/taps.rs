//! What is taken from inside a teacher while it reads.

use std::sync::{Arc, Mutex, PoisonError};

use tutelage_loss::features::{Feature, Tap, TapKind, TapSegments};
use tutelage_model::{AttentionInput, Probe};
use tutelage_tensor::kernels::attention::kl::{AttentionMaps, TeacherMaps};
use tutelage_tensor::{Device, Tape, Tensor, Var};

/// Takes what is asked for from one forward pass.
pub(crate) struct Taps {
    taps: Vec<Tap>,
    segments: TapSegments,
    found: Mutex<Vec<Option<Found>>>,
}

/// Of one tap and some of a batch's rows.
pub(crate) enum Found {
    Rows(Tensor),
    Maps(AttentionMaps),
}

impl Taps {
    /// Taps into a pass over rows with these segments.
    pub(crate) fn new(taps: &[Tap], segments: TapSegments) -> Self {
        let found = Mutex::new(taps.iter().map(|_| None).collect());
        Self { taps: taps.to_vec(), segments, found }
    }

    /// What was found, tap by tap.
    pub(crate) fn take(&self) -> Vec<Found> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().flatten().collect()
    }

    fn keep(&self, at: impl Fn(&Tap) -> bool, mut found: impl FnMut(TapKind) -> Found) {
        for (i, tap) in self.taps.iter().enumerate().filter(|(_, tap)| at(tap)) {
            let found = found(tap.kind);
            self.found.lock().unwrap_or_else(PoisonError::into_inner)[i] = Some(found);
        }
    }
}

impl Probe for Taps {
    fn hidden(&self, tape: &mut Tape<'_>, n_blocks: usize, x: &Var) {
        self.keep(
            |tap| tap.layer == n_blocks && tap.kind != TapKind::Maps,
            |kind| Found::Rows(tape.segment_means(x, self.segments.of(kind)).value().clone()),
        );
    }

    fn attention(&self, _: &mut Tape<'_>, block: usize, attention: AttentionInput<'_>) {
        self.keep(|tap| tap.layer == block && tap.kind == TapKind::Maps, |_| Found::Maps(attention.maps()));
    }
}

/// Rows of all parts, or maps of each.
type OfTap = (Vec<Tensor>, Vec<(usize, AttentionMaps)>);

/// Features of a batch from those of its parts, each with its first row.
pub(crate) fn joined(device: &Device, n_taps: usize, parts: Vec<(usize, Vec<Found>)>) -> Vec<Feature> {
    let mut by_tap: Vec<OfTap> = (0..n_taps).map(|_| OfTap::default()).collect();
    for (first, found) in parts {
        for ((rows, maps), found) in by_tap.iter_mut().zip(found) {
            match found {
                Found::Rows(tensor) => rows.push(tensor),
                Found::Maps(own) => maps.push((first, own)),
            }
        }
    }
    let feature = |(mut rows, parts): OfTap| match (rows.len(), parts.is_empty()) {
        (_, false) => Feature::Maps(Arc::new(TeacherMaps { parts })),
        (1, true) => Feature::Rows(rows.swap_remove(0)),
        _ => Feature::Rows(Tensor::stack(device, &rows)),
    };
    by_tap.into_iter().map(feature).collect()
}
