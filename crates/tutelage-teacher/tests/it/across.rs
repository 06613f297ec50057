//! A teacher that reads texts in its own tokens.

use tutelage_data::Batch;
use tutelage_loss::{Targets, Teacher};
use tutelage_model::{Decoder, Input};
use tutelage_run::StopFlag;
use tutelage_teacher::CachedTeacher;
use tutelage_teacher::across::{Across, AcrossSource, Alignment, Encode, Ids, Vocabulary};
use tutelage_teacher::cache::{self, CacheReader, ModelSource, Source};
use tutelage_tensor::Tape;
use tutelage_testkit::assert_close;

use crate::{VOCAB, bench, input, teacher, top};

/// Id `i` is the letter of code `100 + i`; 0, 1 and 2 are no text.
fn letters() -> Vocabulary {
    let entry = |id: u32| (id > 2).then(|| char::from_u32(100 + id).unwrap().to_string().into_bytes());
    Vocabulary { entries: (0..VOCAB as u32).map(entry).collect(), bos: None, eos: 2 }
}

/// A token a letter.
fn by_letters(text: &str) -> Ids {
    Ok(text.chars().map(|c| c as u32 - 100).collect())
}

/// The teacher's: its ids count from the end, and five pairs of letters have one.
fn reversed() -> (Vocabulary, Box<Encode>) {
    let mut own = Vocabulary { bos: Some(0), ..letters() };
    own.entries[3..].reverse();
    // In the texts each letter is the seventh after the one before; the student has no pairs, and the letters that they replace are in no text.
    for (place, first) in [3, 10, 24, 31, 5].into_iter().enumerate() {
        let letters = [first, first + 7].map(|id: usize| letters().entries[id].clone().unwrap());
        own.entries[5 + place] = Some(letters.concat());
    }
    let entries = own.entries.clone();
    let encode = move |text: &str| {
        let (mut out, mut rest) = (Vec::new(), text.as_bytes());
        while !rest.is_empty() {
            let fits = entries.iter().enumerate().filter_map(|(id, entry)| {
                entry.as_ref().filter(|entry| rest.starts_with(entry)).map(|entry| (id, entry.len()))
            });
            let (id, len) = fits.max_by_key(|(_, len)| *len).ok_or_else(|| format!("nothing for {rest:?}"))?;
            out.push(id as u32);
            rest = &rest[len..];
        }
        Ok(out)
    };
    (own, Box::new(encode))
}

#[test]
fn the_same_vocabulary_is_the_model_itself() {
    let bench = bench("across-same", top(0.9, 12));
    let model = teacher();
    // Documents do not begin with a token without text here, and every letter is a token.
    let encode = by_letters;
    let across = Across::new(letters(), letters(), Box::new(encode), &encode).unwrap();
    let kept = top(1.0, 12);
    let mut own = ModelSource { teacher: &model, kept, vocabulary: VOCAB };
    let alignment = Alignment::default();
    let mut source = AcrossSource { teacher: &model, across: &across, top_p: 1.0, top_k: 12, alignment };
    let batch = bench.batch(&[0, 3, 5, 8]);
    let (expected, found) = (own.rows(&batch).unwrap(), source.rows(&batch).unwrap());
    for (expected, found) in expected.iter().zip(&found) {
        // Ids 0 and 1 are no text, so nobody shares them.
        let shared: Vec<&(u32, f32)> = expected.iter().filter(|(id, _)| *id > 1).collect();
        for (a, b) in shared.iter().zip(found) {
            assert_eq!(a.0, b.0);
            assert_close("log p", &[f64::from(b.1)], &[f64::from(a.1)], 1e-6, 1e-6);
        }
    }
    let Alignment { rows, aligned, within, spans, mass, divided } = source.alignment;
    assert_eq!((rows, aligned, within, spans, divided), (32, 32, 0, 0, 0.0));
    assert!(mass > 0.5 * 32.0 && mass < 32.0, "{mass}");
}

/// Log-probabilities of a model after some ids.
fn after(model: &Decoder, ids: &[i32]) -> Vec<f64> {
    let positions: Vec<i32> = (0..ids.len() as i32).collect();
    let mut tape = Tape::inference(model.params());
    let documents = 0..ids.len();
    let input = Input { ids, positions: &positions, documents: std::slice::from_ref(&documents) };
    let hidden = model.hidden(&mut tape, input).value().clone();
    let logits = model.logits(hidden).to_vec();
    let row: Vec<f64> = logits[logits.len() - VOCAB..].iter().map(|&x| f64::from(x)).collect();
    let sum: f64 = row.iter().map(|x| x.exp()).sum();
    row.iter().map(|x| x - sum.ln()).collect()
}

#[test]
fn rows_are_what_the_teacher_says_after_the_same_text() {
    let bench = bench("across-other", top(1.0, 6));
    let model = teacher();
    let (own, encode) = reversed();
    let (_, again) = reversed();
    let across = Across::new(letters(), own.clone(), encode, &by_letters).unwrap();
    let alignment = Alignment::default();
    let mut source = AcrossSource { teacher: &model, across: &across, top_p: 1.0, top_k: 6, alignment };
    let batch = bench.batch(&bench.sequences);
    let found = source.rows(&batch).unwrap();
    let (mut aligned, mut within) = (0, 0);
    for rows in &batch.documents {
        let text = |ids: &[i32]| ids.iter().map(|&id| char::from_u32(100 + id as u32).unwrap()).collect::<String>();
        let whole: Vec<u32> = again(&text(&batch.ids[rows.clone()])).unwrap();
        for row in rows.clone() {
            let read = text(&batch.ids[rows.start..=row]);
            // The teacher's tokens of the whole text that lie in what was read, and what was read beyond them.
            let (mut ids, mut path) = (vec![0], &read[..]);
            for &id in &whole {
                let bytes = own.entries[id as usize].as_ref().unwrap();
                let Some(rest) = path.strip_prefix(std::str::from_utf8(bytes).unwrap()) else { break };
                ids.push(id as i32);
                path = rest;
            }
            // It has eight positions, and a token within which a row is has to be there; one that begins a document has no row before it here.
            let is_within = !path.is_empty();
            if ids.len() + usize::from(is_within) > 8 || (is_within && ids.len() == 1) {
                assert!(found[row].is_empty());
                continue;
            }
            (aligned, within) = (aligned + u64::from(path.is_empty()), within + u64::from(!path.is_empty()));
            let p: Vec<f64> = after(&model, &ids).into_iter().map(f64::exp).collect();
            // Mass of the teacher's tokens that begin so, over all that go on as the student has.
            let of = |beginning: &str| -> f64 {
                let texts = own.entries.iter().zip(&p).filter_map(|(entry, p)| Some((entry.as_ref()?, p)));
                texts.filter(|(entry, _)| entry.starts_with(beginning.as_bytes())).map(|(_, p)| p).sum()
            };
            let all = if path.is_empty() { 1.0 } else { of(path) };
            let mut expected: Vec<(u32, f64)> = (3..VOCAB as u32)
                .map(|id| (id, of(&format!("{path}{}", char::from_u32(100 + id).unwrap())) / all))
                .chain(path.is_empty().then_some((2, p[2])))
                .filter(|entry| entry.1 > 0.0)
                .collect();
            expected.sort_by(|a, b| b.1.total_cmp(&a.1));
            expected.truncate(6);
            assert_eq!(found[row].len(), expected.len());
            for (&(id, log_p), (expected_id, p)) in found[row].iter().zip(expected) {
                assert_eq!(id, expected_id);
                assert_close("log p", &[f64::from(log_p)], &[p.ln()], 1e-4, 1e-5);
            }
        }
    }
    assert!(within > 2 && aligned > 20, "{aligned} aligned, {within} within tokens");
    let Alignment { rows, aligned: found_aligned, within: found_within, .. } = source.alignment;
    assert_eq!((rows, found_aligned, found_within), (batch.ids.len() as u64, aligned, within));

    // Through a cache, rows without targets among them.
    let set = &bench.set;
    cache::write(&bench.path(), &bench.header, &mut source, set, &bench.sequences, &StopFlag::default(), &mut |_| {})
        .unwrap();
    CacheReader::open(&bench.path(), None).unwrap().verify(&mut |_| {}).unwrap();
    let cached = CachedTeacher::open(&bench.path(), &bench.header).unwrap();
    let Targets::TopPK(rows) = cached.targets(input(&batch)).unwrap() else { panic!("a cache of the most likely") };
    for (row, expected) in found.iter().enumerate() {
        let mut expected: Vec<u32> = expected.iter().map(|entry| entry.0).collect();
        let mut ids = rows.row(row).0.to_vec();
        expected.sort_unstable();
        ids.sort_unstable();
        assert_eq!(ids, expected);
    }
}

#[test]
fn a_token_that_the_teacher_writes_as_several_has_their_product() {
    let model = teacher();
    // Two entries more than the teacher has, of two of its tokens and of three.
    let mut student = letters();
    student.entries[40] = Some(b"gn".to_vec());
    student.entries[41] = Some(b"gnu".to_vec());
    let encode = by_letters;
    let across = Across::new(student, letters(), Box::new(encode), &encode).unwrap();
    let ids = vec![5, 40, 7, 41, 9];
    let whole = 0..ids.len();
    let batch = Batch {
        labels: vec![40, 7, 41, 9, -1],
        positions: (0..5).collect(),
        documents: vec![whole.clone()],
        sequences: vec![(0, whole)],
        ids,
        ..Batch::default()
    };
    // "gn" after i, "gnu" after ignk, of which g is an entry of both.
    let spans: [(usize, &[i32], &[usize], u32); 2] = [(0, &[5], &[3, 10], 40), (2, &[5, 3, 10, 7], &[3, 10, 17], 41)];
    for top_k in [VOCAB, 4] {
        let alignment = Alignment::default();
        let mut source = AcrossSource { teacher: &model, across: &across, top_p: 1.0, top_k, alignment };
        let found = source.rows(&batch).unwrap();
        assert_eq!((source.alignment.aligned, source.alignment.spans), (5, 2));
        for (row, read, tokens, id) in spans {
            let mut so_far = read.to_vec();
            let mut log_p = 0.0;
            for &token in tokens {
                log_p += after(&model, &so_far)[token];
                so_far.push(token as i32);
            }
            let of = |id: u32| found[row].iter().find(|entry| entry.0 == id).map(|entry| f64::from(entry.1));
            let before = after(&model, read);
            let left = (before[3].exp() - log_p.exp()).ln();
            if top_k == VOCAB {
                assert_close("the whole", &[of(id).unwrap()], &[log_p], 1e-4, 1e-5);
                assert_close("the first", &[of(3).unwrap()], &[left], 1e-4, 1e-5);
                // No mass is made: what both have, as before.
                let shared: f64 = (2..VOCAB).filter(|id| ![40, 41].contains(id)).map(|id| before[id].exp()).sum();
                let mass: f64 = found[row].iter().map(|entry| f64::from(entry.1).exp()).sum();
                assert_close("mass", &[mass], &[shared], 1e-6, 1e-6);
            }
            assert!(found[row].len() <= top_k && found[row].is_sorted_by(|a, b| a.1 >= b.1));
        }
        // What is no span is as it was.
        for row in [1, 3, 4] {
            assert!(found[row].iter().all(|entry| ![40, 41].contains(&entry.0)));
        }
    }
}

#[test]
fn a_tokenizer_that_fails_or_knows_more_than_the_model_is_refused() {
    let bench = bench("across-wrong", top(1.0, 6));
    let model = teacher();
    let fails: [(Box<Encode>, &str); 2] = [
        (Box::new(|_: &str| Err("no such word".into())), "no such word"),
        (Box::new(|text: &str| Ok(vec![77; text.len()])), "makes id 77, and its model has 50 rows"),
    ];
    for (encode, message) in fails {
        let across = Across::new(letters(), letters(), encode, &by_letters).unwrap();
        let alignment = Alignment::default();
        let mut source = AcrossSource { teacher: &model, across: &across, top_p: 1.0, top_k: 6, alignment };
        let error = source.rows(&bench.batch(&[0])).unwrap_err();
        assert!(error.is_request() && error.to_string().contains(message), "{error}");
    }
}
