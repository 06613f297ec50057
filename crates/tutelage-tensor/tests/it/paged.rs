//! Attention over pages: against the naive reference, and the same bits whatever is beside a sequence.

use std::ops::Range;

use tutelage_tensor::kernels::attention::reference::Inputs;
use tutelage_tensor::kernels::attention::{AttentionShape, KvPool, PAGE, RopeTable, Span};
use tutelage_tensor::{Device, Params, Precision};
use tutelage_testkit::{assert_close, wave};

use crate::support::{activation, device, devices, rounded, tolerance};

const SHAPES: [(AttentionShape, usize); 5] = [
    (AttentionShape { n_heads: 6, n_kv_heads: 2, d_head: 32, window: None }, 32),
    (AttentionShape { n_heads: 5, n_kv_heads: 1, d_head: 64, window: None }, 64),
    (AttentionShape { n_heads: 2, n_kv_heads: 2, d_head: 10, window: None }, 10),
    (AttentionShape { n_heads: 2, n_kv_heads: 1, d_head: 40, window: Some(33) }, 20),
    (AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 16, window: Some(100) }, 16),
];

/// A sequence: the length of its prompt, and of all of it. The rest is drawn row by row.
type Sequence = (usize, usize);

/// Feeds sequences in steps: prompts in parts of `part` rows, then a row each, those of all sequences together.
/// Returns each sequence's outputs.
fn feed(
    device: &Device,
    precision: Precision,
    (shape, d_rotary): (AttentionShape, usize),
    sequences: &[(Sequence, Vec<f64>)],
    (part, reversed): (usize, bool),
) -> Vec<Vec<f32>> {
    let params = Params::new(device, precision);
    let (width, longest) = (shape.qkv_width(), sequences.iter().map(|((_, len), _)| *len).max().unwrap());
    let rope = RopeTable::new(d_rotary, 1e4, longest);
    let n_pages: usize = sequences.iter().map(|((_, len), _)| len.div_ceil(PAGE)).sum();
    let mut numbers: Vec<u32> = (0..n_pages as u32).collect();
    if reversed {
        numbers.reverse();
    }
    let mut numbers = numbers.into_iter();
    let pages: Vec<Vec<u32>> =
        sequences.iter().map(|((_, len), _)| numbers.by_ref().take(len.div_ceil(PAGE)).collect()).collect();
    let mut pool = KvPool::new(device, &[shape], n_pages, params.precision().activation());
    let (mut done, mut out) = (vec![0; sequences.len()], vec![Vec::new(); sequences.len()]);
    while done.iter().zip(sequences).any(|(done, ((_, len), _))| done < len) {
        let (mut rows, mut places, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        let mut whose: Vec<(usize, Range<usize>)> = Vec::new();
        for (i, ((prompt, len), qkv)) in sequences.iter().enumerate() {
            let first = done[i];
            let is_prompt = first < *prompt;
            let n = if is_prompt { part.min(prompt - first) } else { usize::from(first < *len) };
            if n == 0 {
                continue;
            }
            let span = places.len()..places.len() + n;
            rows.extend_from_slice(&qkv[first * width..(first + n) * width]);
            places.extend((first as i32..).take(n));
            spans.push(Span { rows: span.clone(), first, pages: &pages[i], is_prompt });
            whose.push((i, span));
            done[i] += n;
        }
        let qkv = activation(&params, &[places.len(), width], &rows);
        let found = pool.attend(device, 0, &qkv, (&rope, &places), &spans).to_vec();
        for (i, rows) in whose {
            out[i].extend_from_slice(&found[rows.start * shape.out_width()..rows.end * shape.out_width()]);
        }
    }
    out
}

fn sequence(shape: AttentionShape, seed: u64, (prompt, len): Sequence) -> (Sequence, Vec<f64>) {
    ((prompt, len), wave(len * shape.qkv_width(), seed, 1.5))
}

#[test]
fn pages_agree_with_the_naive_reference() {
    for device in devices() {
        for precision in [Precision::F32, Precision::Bf16] {
            for (shape, d_rotary) in SHAPES {
                let lengths = [(130, 150), (1, 70), (64, 65), (200, 200)];
                let sequences: Vec<_> = (1..).zip(lengths).map(|(seed, len)| sequence(shape, seed, len)).collect();
                let params = Params::new(&device, precision);
                for part in [64, 1000] {
                    let found = feed(&device, precision, (shape, d_rotary), &sequences, (part, false));
                    for (((_, len), qkv), found) in sequences.iter().zip(found) {
                        let positions: Vec<i32> = (0..*len as i32).collect();
                        let documents = [Range { start: 0, end: *len }];
                        let inputs =
                            Inputs { shape, theta: 1e4, d_rotary, positions: &positions, documents: &documents };
                        let expected = inputs.forward(&rounded(&params, qkv));
                        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
                        let (absolute, relative) = tolerance(precision);
                        let name = format!("{} {precision:?} {shape:?} {len} by {part}", device.isa());
                        assert_close(&name, &found, &expected, absolute, relative);
                    }
                }
            }
        }
    }
}

#[test]
fn bits_depend_on_the_sequence_alone() {
    for of_isa in devices() {
        for precision in [Precision::F32, Precision::Bf16] {
            for (shape, d_rotary) in SHAPES {
                let one = sequence(shape, 9, (150, 170));
                let alone = feed(&of_isa, precision, (shape, d_rotary), std::slice::from_ref(&one), (1000, false));
                let many =
                    [sequence(shape, 1, (3, 200)), one, sequence(shape, 2, (200, 260)), sequence(shape, 3, (64, 64))];
                for n_threads in [1, 3] {
                    let device = Device::cpu(n_threads, of_isa.isa()).unwrap();
                    for how in [(64, false), (128, true), (1000, true)] {
                        let found = feed(&device, precision, (shape, d_rotary), &many, how);
                        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                        let name = format!("{} {precision:?} {shape:?} {how:?}", device.isa());
                        assert!(bits(&found[1]) == bits(&alone[0]), "{name}");
                    }
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "page 1 is written by two sequences")]
fn a_page_of_two_sequences_is_refused() {
    let (device, (shape, d_rotary)) = (device(1), SHAPES[0]);
    let params = Params::new(&device, Precision::F32);
    let mut pool = KvPool::new(&device, &[shape], 2, params.precision().activation());
    let qkv = activation(&params, &[2, shape.qkv_width()], &wave(2 * shape.qkv_width(), 1, 1.0));
    let span = |row: usize| Span { rows: row..row + 1, first: 0, pages: &[1], is_prompt: false };
    pool.attend(&device, 0, &qkv, (&RopeTable::new(d_rotary, 1e4, 4), &[0, 0]), &[span(0), span(1)]);
}
