//! Who of several teaches a document, drawn by a policy.

use std::ops::Range;

use tutelage_loss::{Targets, Teacher};
use tutelage_teacher::selection::{Choice, Policy};
use tutelage_teacher::{LiveTeacher, SeveralTeachers};
use tutelage_testkit::assert_close;

use crate::several::live;
use crate::{VOCAB, bench, input, teacher_of, top};

fn several(choice: Choice) -> SeveralTeachers {
    let members = vec![live(1, 1.0), live(2, 3.0)];
    SeveralTeachers::new(members, vec![vec![0, 1]]).selected_by(Policy::new(choice, 0.1, 7, 2))
}

#[test]
fn documents_go_to_whom_the_policy_draws() {
    let bench = bench("selection", top(1.0, 4));
    let batch = bench.batch(&(0..16).collect::<Vec<_>>());
    let alone: Vec<LiveTeacher> = [1, 2].map(|seed| LiveTeacher::new(teacher_of(seed), VOCAB)).into();
    for choice in [Choice::Each, Choice::Weights] {
        let several = several(choice);
        let Targets::Soft(logits) = several.targets(input(&batch)).unwrap() else { panic!("live teachers are soft") };
        let mut taught: Vec<Range<usize>> = logits.parts.iter().flat_map(|part| part.rows.clone()).collect();
        taught.sort_by_key(|rows| rows.start);
        let n = batch.documents.len();
        match choice {
            // A quarter by nobody, a half by one, a quarter by both.
            Choice::Each => {
                assert!(taught.len() > n / 2 && taught.len() < n, "{} of {n}", taught.len());
                assert!(logits.parts.iter().any(|part| part.members.len() == 1));
                assert!(logits.parts.iter().any(|part| part.members.len() == 2));
            }
            Choice::Weights => {
                assert_eq!(taught, batch.documents);
                let weights: Vec<f32> = logits.parts.iter().map(|part| part.members[1].weight).collect();
                let mean = weights.iter().sum::<f32>() / weights.len() as f32;
                // Around three quarters, each document's own.
                assert!((mean - 0.73).abs() < 0.06 && weights.windows(2).all(|pair| pair[0] != pair[1]), "{weights:?}");
            }
        }
        for part in &logits.parts {
            assert_close("weights", &[part.members.iter().map(|m| f64::from(m.weight)).sum()], &[1.0], 1e-6, 0.0);
            for member in &part.members {
                // Its hidden states are those of one of the two, at these rows.
                let found = member.hidden.to_vec();
                let of = |teacher: &LiveTeacher| {
                    let Targets::Soft(whole) = teacher.targets(input(&batch)).unwrap() else { panic!("soft") };
                    let whole = &whole.alone(batch.ids.len()).unwrap().hidden;
                    let rows: Vec<usize> = part.rows.iter().flat_map(Clone::clone).collect();
                    whole.rows(teacher.model().params().device(), &rows).to_vec()
                };
                let far = |a: &[f32]| a.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(alone.iter().any(|teacher| far(&of(teacher)) < 1e-4));
            }
        }
    }
}

#[test]
fn what_it_learned_goes_on_and_changes_whom_it_draws() {
    let bench = bench("selection-learns", top(1.0, 4));
    let batch = bench.batch(&(0..16).collect::<Vec<_>>());
    let rows = |several: &SeveralTeachers| {
        let Targets::Soft(logits) = several.targets(input(&batch)).unwrap() else { panic!("live teachers are soft") };
        logits.parts.iter().map(|part| (part.rows.clone(), part.members.len())).collect::<Vec<_>>()
    };
    let several_a = several(Choice::Each);
    let first = rows(&several_a);
    assert_eq!(first, rows(&several(Choice::Each)));
    let rewarded = several_a.rewarded().unwrap();
    rewarded.reward(0.1);
    let second = rows(&several_a);
    assert_ne!(first, second);
    rewarded.reward(0.3);
    let after = several(Choice::Each);
    after.rewarded().unwrap().restore(&rewarded.state()).unwrap();
    assert_eq!(rows(&several_a), rows(&after));
    assert!(rewarded.describe().contains("teacher 1") && rewarded.describe().contains("teacher 2"));
    let error = after.rewarded().unwrap().restore(&[1.0]).unwrap_err();
    assert!(error.is_request, "{error}");
    assert!(SeveralTeachers::new(vec![live(1, 1.0)], vec![vec![0]]).rewarded().is_none());
}
