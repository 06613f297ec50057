//! Several teachers: each document has its own, by its route, or the average of some.
//!
//! With a domain's expert for the domain's documents and a reference for the rest this is Domain Alignment from Expert (2406.19112,
//! section 3.2). Departure: the paper's code masks by the labels at the same place as the logits; here a row is taught what
//! follows it, as everywhere.

use std::collections::BTreeMap;
use std::ops::Range;

use tutelage_loss::{Rewarded, SparseTargets, Targets, Teacher, TeacherError, TeacherInput};
use tutelage_tensor::kernels::linear_loss::{TeacherLogits, TeacherMember, TeacherPart};

use crate::selection::{Policy, choose};

/// One of several teachers.
pub struct Member {
    /// Who.
    pub teacher: Box<dyn Teacher>,
    /// Whether it can only be asked about whole sequences, as a cache.
    pub whole_sequences: bool,
    /// Weight of its distribution where it is averaged with others'.
    pub weight: f32,
    /// What it is called.
    pub name: String,
}

/// Supplies each document's targets from the members that its route names.
pub struct SeveralTeachers {
    members: Vec<Member>,
    /// Members by route, see [`SeveralTeachers::new`].
    by_route: Vec<Vec<usize>>,
    /// Who of several teaches a document, where that is drawn.
    selection: Option<Policy>,
}

/// Documents that have the same members.
pub(crate) struct Share {
    pub(crate) documents: Vec<Range<usize>>,
    pub(crate) ids: Vec<i32>,
    pub(crate) labels: Vec<i32>,
    positions: Vec<i32>,
    /// Documents in the rows of this share.
    pub(crate) own: Vec<Range<usize>>,
}

impl SeveralTeachers {
    /// `by_route` has the members of each route by its number; where documents have no routes, of all documents at its only place.
    /// No members: such documents are learned from the text alone.
    pub fn new(members: Vec<Member>, by_route: Vec<Vec<usize>>) -> Self {
        Self { members, by_route, selection: None }
    }

    /// Of documents that several teach, this policy chooses by whom.
    pub fn selected_by(self, selection: Policy) -> Self {
        Self { selection: Some(selection), ..self }
    }

    /// Documents by their members.
    fn shares(&self, input: TeacherInput<'_>) -> Result<BTreeMap<&[usize], Share>, TeacherError> {
        let mut out: BTreeMap<&[usize], Share> = BTreeMap::new();
        for (i, document) in input.documents.iter().enumerate() {
            let route = input.routes.get(i).map_or(0, |&route| usize::from(route));
            let members = self
                .by_route
                .get(route)
                .ok_or_else(|| fault(format!("route {route} of a document names no teacher")))?;
            if members.is_empty() {
                continue;
            }
            let share = out.entry(members).or_insert_with(|| Share {
                documents: Vec::new(),
                ids: Vec::new(),
                labels: Vec::new(),
                positions: Vec::new(),
                own: Vec::new(),
            });
            let start = share.ids.len();
            share.ids.extend(&input.ids[document.clone()]);
            share.labels.extend(&input.labels[document.clone()]);
            share.positions.extend(&input.positions[document.clone()]);
            share.own.push(start..share.ids.len());
            share.documents.push(document.clone());
        }
        Ok(out)
    }

    /// What a member says of a share: in the rows of the whole batch if it is asked about whole sequences, else in the share's.
    fn ask(&self, member: usize, share: &Share, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        let member = &self.members[member];
        if !member.whole_sequences {
            let ids = share.own.clone();
            return member.teacher.targets(TeacherInput {
                ids: &share.ids,
                labels: &share.labels,
                positions: &share.positions,
                documents: &ids,
                routes: &[],
                sequences: &[],
            });
        }
        match member.teacher.targets(input)? {
            targets @ (Targets::TopPK(_) | Targets::Samples(_)) => Ok(targets),
            _ => Err(fault("a teacher of whole sequences must have sparse targets".to_owned())),
        }
    }
}

impl Teacher for SeveralTeachers {
    fn rewarded(&self) -> Option<&dyn Rewarded> {
        self.selection.is_some().then_some(self as _)
    }

    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        let (mut parts, mut is_live) = (Vec::new(), false);
        // Of each row where its entries stand: in which of the targets of shares, and in which row of those.
        let mut places: Vec<Option<(usize, usize)>> = vec![None; input.ids.len()];
        let (mut sparse, mut is_samples): (Vec<SparseTargets>, Option<bool>) = (Vec::new(), None);
        for (members, share) in &self.shares(input)? {
            let weights: f32 = members.iter().map(|&member| self.members[member].weight).sum();
            let mut averaged = Vec::new();
            for &member in *members {
                let weight = self.members[member].weight / weights;
                match self.ask(member, share, input)? {
                    Targets::Soft(logits) => {
                        let alone = logits
                            .alone(share.ids.len())
                            .ok_or_else(|| fault("a member is not one model".to_owned()))?;
                        averaged.push(TeacherMember { weight, ..alone.clone() });
                    }
                    targets @ (Targets::TopPK(_) | Targets::Samples(_)) if members.len() == 1 => {
                        let samples = matches!(targets, Targets::Samples(_));
                        if is_samples.is_some_and(|before| before != samples) {
                            return Err(fault(
                                "some members draw samples, others keep the most likely entries".to_owned(),
                            ));
                        }
                        is_samples = Some(samples);
                        let rows = share.documents.iter().flat_map(Clone::clone);
                        let whole = self.members[member].whole_sequences;
                        rows.enumerate().for_each(|(own, row)| {
                            places[row] = Some((sparse.len(), if whole { row } else { own }));
                        });
                        let (Targets::TopPK(rows) | Targets::Samples(rows)) = targets else { continue };
                        sparse.push(rows);
                    }
                    _ => return Err(fault("only whole distributions are averaged".to_owned())),
                }
            }
            match &self.selection {
                Some(policy) if averaged.len() > 1 => {
                    is_live = true;
                    parts.extend(choose(policy, members, &averaged, share));
                }
                _ if averaged.is_empty() => {}
                _ => parts.push(TeacherPart { rows: share.documents.clone(), members: averaged }),
            }
        }
        match (parts.is_empty() && !is_live, is_samples) {
            (true, None) => Ok(Targets::Hard),
            (false, None) => Ok(Targets::Soft(TeacherLogits { parts })),
            (true, Some(is_samples)) => {
                let mut out = SparseTargets::new();
                for place in places {
                    let (ids, values) = place.map_or_else(Default::default, |(share, row)| sparse[share].row(row));
                    out.push_row(ids.iter().copied().zip(values.iter().copied()));
                }
                Ok(if is_samples { Targets::Samples(out) } else { Targets::TopPK(out) })
            }
            (false, Some(_)) => Err(fault("some members are live, others are not".to_owned())),
        }
    }
}

impl Rewarded for SeveralTeachers {
    fn reward(&self, fall: f64) {
        if let Some(policy) = &self.selection {
            policy.reward(fall);
        }
    }

    fn state(&self) -> Vec<f64> {
        self.selection.as_ref().map_or(Vec::new(), Policy::state)
    }

    fn restore(&self, state: &[f64]) -> Result<(), TeacherError> {
        match self.selection.as_ref().is_some_and(|policy| policy.restore(state)) {
            true => Ok(()),
            false => Err(fault("the state of another choice among teachers".to_owned())),
        }
    }

    fn describe(&self) -> String {
        let names: Vec<String> = self.members.iter().map(|member| member.name.clone()).collect();
        self.selection.as_ref().map_or(String::new(), |policy| policy.describe(&names))
    }
}

fn fault(found: String) -> TeacherError {
    TeacherError { is_request: true, source: found.into() }
}
