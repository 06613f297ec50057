//! Documents to whom a policy draws.

use std::collections::BTreeMap;

use tutelage_data::hash_ids;
use tutelage_tensor::kernels::linear_loss::{TeacherMember, TeacherPart};

use super::measure::measure;
use super::policy::{N_SEEN, Policy};
use crate::several::Share;

/// Parts of a share whose members were asked, by who teaches each document.
pub(crate) fn choose<'t>(
    policy: &Policy,
    numbers: &[usize],
    members: &[TeacherMember<'t>],
    share: &Share,
) -> Vec<TeacherPart<'t>> {
    let seen: Vec<Vec<[f64; N_SEEN]>> =
        members.iter().map(|member| measure(member, &share.labels, &share.own)).collect();
    let mut parts: BTreeMap<Vec<(usize, u32)>, Vec<usize>> = BTreeMap::new();
    for (document, rows) in share.own.iter().enumerate() {
        let mean = seen.iter().map(|of| of[document][0]).sum::<f64>() / seen.len() as f64;
        let of_member = |(number, of): (&usize, &Vec<[f64; N_SEEN]>)| {
            let [loss, doubt] = of[document];
            (*number, [loss - mean, doubt])
        };
        let seen: Vec<_> = numbers.iter().zip(&seen).map(of_member).collect();
        let drawn = policy.draw(&seen, hash_ids(&share.ids[rows.clone()]));
        let weights = drawn.iter().zip(members).map(|(drawn, member)| *drawn as f32 * member.weight);
        let sum: f32 = weights.clone().sum();
        let chosen = weights.enumerate().filter(|(_, weight)| *weight > 0.0);
        // Who teaches nothing leaves the document to its text.
        let who: Vec<(usize, u32)> = chosen.map(|(i, weight)| (i, (weight / sum).to_bits())).collect();
        if !who.is_empty() {
            parts.entry(who).or_default().push(document);
        }
    }
    let part = |(who, documents): (Vec<(usize, u32)>, Vec<usize>)| {
        let rows: Vec<usize> = documents.iter().flat_map(|&document| share.own[document].clone()).collect();
        let member = |&(i, weight): &(usize, u32)| {
            let hidden = members[i].hidden.rows(members[i].params.device(), &rows);
            TeacherMember { weight: f32::from_bits(weight), hidden, ..members[i].clone() }
        };
        let rows = documents.iter().map(|&document| share.documents[document].clone()).collect();
        TeacherPart { rows, members: who.iter().map(member).collect() }
    };
    parts.into_iter().map(part).collect()
}
