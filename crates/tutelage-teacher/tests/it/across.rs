//! A teacher that reads texts in its own tokens.

use tutelage_loss::{Targets, Teacher};
use tutelage_model::{Decoder, Input};
use tutelage_run::StopFlag;
use tutelage_teacher::CachedTeacher;
use tutelage_teacher::across::{Across, AcrossSource, Alignment, Encode, Vocabulary};
use tutelage_teacher::cache::{self, CacheReader, ModelSource, Source};
use tutelage_tensor::Tape;
use tutelage_testkit::assert_close;

use crate::{VOCAB, bench, input, teacher, top};

/// Id `i` is the letter of code `100 + i`; 0, 1 and 2 are no text.
fn letters() -> Vocabulary {
    let entry = |id: u32| (id > 2).then(|| char::from_u32(100 + id).unwrap().to_string().into_bytes());
    Vocabulary { entries: (0..VOCAB as u32).map(entry).collect(), bos: None, eos: 2 }
}

/// The teacher's: its ids count from the end, and two pairs of letters have one.
fn reversed() -> (Vocabulary, Box<Encode>) {
    let mut own = letters();
    own.entries[3..].reverse();
    // Of letters that are in the texts, and of which the student has none.
    for (id, pair) in [(5, "gn"), (6, "nu")] {
        own.entries[id] = Some(pair.as_bytes().to_vec());
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
    let encode = |text: &str| Ok(text.chars().map(|c| c as u32 - 100).collect());
    let across = Across::new(letters(), letters(), Box::new(encode));
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
    let Alignment { rows, aligned, mass } = source.alignment;
    assert_eq!((rows, aligned), (32, 32));
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
    let across = Across::new(letters(), own.clone(), encode);
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
            // The teacher's tokens of the whole text that spell what was read, if any do.
            let lens = whole.iter().scan(0, |at, &id| {
                *at += own.entries[id as usize].as_ref().unwrap().len();
                Some(*at)
            });
            let Some(n) = lens.clone().position(|at| at == read.len()) else {
                assert!(found[row].is_empty());
                within += 1;
                continue;
            };
            aligned += 1;
            let ids: Vec<i32> = whole[..=n].iter().map(|&id| id as i32).collect();
            let log_p = after(&model, &ids);
            for &(id, value) in &found[row] {
                let bytes = letters().entries[id as usize].clone();
                let theirs = if id == 2 { 2 } else { own.entries.iter().position(|entry| *entry == bytes).unwrap() };
                assert_close("log p", &[f64::from(value)], &[log_p[theirs]], 1e-4, 1e-5);
            }
            assert_eq!(found[row].len(), 6);
            assert!(found[row].is_sorted_by(|a, b| a.1 >= b.1));
        }
    }
    assert!(within > 2 && aligned > 20, "{aligned} aligned, {within} within tokens");
    assert_eq!((source.alignment.rows, source.alignment.aligned), (batch.ids.len() as u64, aligned));

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
fn a_tokenizer_that_fails_or_knows_more_than_the_model_is_refused() {
    let bench = bench("across-wrong", top(1.0, 6));
    let model = teacher();
    let fails: [(Box<Encode>, &str); 2] = [
        (Box::new(|_: &str| Err("no such word".into())), "no such word"),
        (Box::new(|text: &str| Ok(vec![77; text.len()])), "makes id 77, and its model has 50 rows"),
    ];
    for (encode, message) in fails {
        let across = Across::new(letters(), letters(), encode);
        let alignment = Alignment::default();
        let mut source = AcrossSource { teacher: &model, across: &across, top_p: 1.0, top_k: 6, alignment };
        let error = source.rows(&bench.batch(&[0])).unwrap_err();
        assert!(error.is_request() && error.to_string().contains(message), "{error}");
    }
}
