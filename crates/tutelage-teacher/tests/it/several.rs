//! Documents by their routes to teachers.

use tutelage_loss::features::{Feature, Tap, TapKind};
use tutelage_loss::{SparseTargets, Targets, Teacher};
use tutelage_model::StoredModel;
use tutelage_run::{StopFlag, create_folder};
use tutelage_teacher::cache::{self, CacheHeader, ModelSource};
use tutelage_teacher::{CachedTeacher, LiveTeacher, Member, OffloadedTeacher, SeveralTeachers};
use tutelage_tensor::{Params, Precision, Tape};
use tutelage_testkit::assert_close;

use crate::{Bench, VOCAB, bench, hash_bytes, input, teacher_of, top};

pub(crate) fn live(seed: u64, weight: f32) -> Member {
    Member {
        teacher: Box::new(LiveTeacher::new(teacher_of(seed), VOCAB)),
        whole_sequences: false,
        weight,
        name: format!("teacher {seed}"),
    }
}

/// Routes 0, 1, 2, 0, 1 ... of a batch's documents.
fn routed(bench: &Bench, sequences: &[usize]) -> tutelage_data::Batch {
    let mut batch = bench.batch(sequences);
    batch.routes = (0..batch.documents.len()).map(|i| (i % 3) as u16).collect();
    batch
}

#[test]
fn live_members_say_of_their_documents_what_they_would_say_alone() {
    let bench = bench("several-live", top(1.0, 4));
    let batch = routed(&bench, &[0, 2, 4, 6, 8]);
    assert!(batch.documents.len() > 6);
    // The first route's documents are the first teacher's, the second's both's, and the third has none.
    let several = SeveralTeachers::new(vec![live(1, 1.0), live(2, 3.0)], vec![vec![0], vec![0, 1], vec![]]);
    let Targets::Soft(logits) = several.targets(input(&batch)).unwrap() else { panic!("live teachers are soft") };
    assert_eq!(logits.parts.len(), 2);
    let alone: Vec<LiveTeacher> = [1, 2].map(|seed| LiveTeacher::new(teacher_of(seed), VOCAB)).into();
    for part in &logits.parts {
        let route = if part.members.len() == 1 { 0 } else { 1 };
        let documents: Vec<_> =
            (0..batch.documents.len()).filter(|i| i % 3 == route).map(|i| batch.documents[i].clone()).collect();
        assert_eq!(part.rows, documents);
        let weights: Vec<f32> = part.members.iter().map(|member| member.weight).collect();
        assert_eq!(weights, if route == 0 { vec![1.0] } else { vec![0.25, 0.75] });
        for (member, alone) in part.members.iter().zip(&alone) {
            let Targets::Soft(whole) = alone.targets(input(&batch)).unwrap() else { panic!("soft") };
            let whole = &whole.alone(batch.ids.len()).unwrap().hidden;
            let (_, d) = whole.dims2();
            let rows = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
            let all = rows(whole.to_vec());
            let expected: Vec<f64> =
                documents.iter().flat_map(|rows| all[rows.start * d..rows.end * d].to_vec()).collect();
            assert_close("hidden states", &rows(member.hidden.to_vec()), &expected, 1e-5, 1e-5);
        }
    }
    let lost = SeveralTeachers::new(vec![live(1, 1.0)], vec![vec![0]]);
    let error = lost.targets(input(&batch)).err().unwrap();
    assert!(error.is_request && error.to_string().contains("names no teacher"), "{error}");
}

#[test]
fn cached_members_are_read_by_document() {
    let bench = bench("several-cached", top(1.0, 4));
    let open = |seed: u64| {
        let path = bench.folder.join(format!("cache-{seed}"));
        let header = CacheHeader { teacher: hash_bytes(&seed.to_le_bytes()), ..bench.header.clone() };
        let model = teacher_of(seed);
        let mut source = ModelSource { teacher: &model, kept: header.kept.clone(), vocabulary: VOCAB };
        cache::write(&path, &header, &mut source, &bench.set, &bench.sequences, &StopFlag::default(), &mut |_| {})
            .unwrap();
        CachedTeacher::open(&path, &header).unwrap()
    };
    let member = |seed: u64| Member {
        teacher: Box::new(open(seed)),
        whole_sequences: true,
        weight: 1.0,
        name: format!("teacher {seed}"),
    };
    let several = SeveralTeachers::new(vec![member(1), member(2)], vec![vec![0], vec![1], vec![]]);
    let batch = routed(&bench, &[0, 2, 4, 6, 8]);
    let Targets::TopPK(found) = several.targets(input(&batch)).unwrap() else { panic!("sparse") };
    let whole: Vec<SparseTargets> = [1, 2]
        .map(|seed| match open(seed).targets(input(&batch)).unwrap() {
            Targets::TopPK(rows) => rows,
            _ => panic!("sparse"),
        })
        .into();
    for (i, document) in batch.documents.iter().enumerate() {
        for row in document.clone() {
            match i % 3 {
                2 => assert!(found.row(row).0.is_empty()),
                route => assert_eq!(found.row(row), whole[route].row(row)),
            }
        }
    }
    let mixed = SeveralTeachers::new(vec![member(1), live(2, 1.0)], vec![vec![0], vec![1], vec![]]);
    assert!(mixed.targets(input(&batch)).err().unwrap().to_string().contains("some members are live"));
    let averaged = SeveralTeachers::new(vec![member(1), member(2)], vec![vec![0, 1], vec![1], vec![]]);
    assert!(averaged.targets(input(&batch)).err().unwrap().to_string().contains("only whole distributions"));
}

#[test]
fn a_teacher_whose_weights_are_given_back_says_the_same() {
    let bench = bench("offloaded", top(1.0, 4));
    let model = teacher_of(5);
    let folder = bench.folder.join("model");
    create_folder(&folder).unwrap();
    model.save(&folder, &hash_bytes(b"tokenizer")).unwrap();
    let device = model.params().device().clone();
    for precision in [Precision::F32, Precision::Bf16] {
        let stored = || StoredModel::open(&folder).unwrap();
        let kept = stored().decoder(Params::frozen(&device, precision)).unwrap();
        let kept = LiveTeacher::new(kept, VOCAB).in_batches(16);
        let given_back = OffloadedTeacher::new(stored(), &device, precision, (VOCAB, 16)).unwrap();
        let batch = bench.batch(&[0, 2, 4, 6]);
        // The distance of either from the other's hidden states and output layer.
        let logits = |teacher: &dyn Teacher| {
            let Targets::Soft(logits) = teacher.targets(input(&batch)).unwrap() else { panic!("soft") };
            let member = logits.alone(batch.ids.len()).unwrap();
            let mut tape = Tape::inference(member.params);
            let hidden = tape.leaf(member.hidden.clone());
            tape.linear_f32(&hidden, member.head).to_vec()
        };
        assert_eq!(logits(&kept), logits(&given_back));
        let taps = [Tap { layer: 1, kind: TapKind::Rows }];
        let features = |teacher: &dyn Teacher| match &teacher.with_features(input(&batch), &taps).unwrap().1[..] {
            [Feature::Rows(rows)] => rows.to_vec(),
            _ => panic!("one tap of rows"),
        };
        assert_eq!(features(&kept), features(&given_back));
    }
}
