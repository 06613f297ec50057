//! Logits and every gradient of a tiny decoder; `fixtures/decoder/make.py` writes what is compared.

use tutelage_model::{Decoder, DecoderConfig, Family, Input, Options, RopeScaling};
use tutelage_tensor::{Device, Grads, Isa, Precision, Tape};
use tutelage_testkit::{Fixture, assert_close};

use crate::support::CrossEntropy;

fn fixture() -> Fixture {
    Fixture::open(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/decoder/decoder.safetensors"))
}

fn config() -> DecoderConfig {
    DecoderConfig {
        family: Family::InternLm2,
        vocab_size: 40,
        d_model: 16,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        d_head: 4,
        d_ff: 24,
        tied_embeddings: false,
        options: Options::default(),
        max_positions: 32,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        norm_eps: 1e-5,
        init_std: 0.02,
        bos: Some(1),
        eos: 2,
        more_eos: Vec::new(),
    }
}

fn model(fixture: &Fixture, precision: Precision) -> Decoder {
    let device = Device::cpu(2, Isa::detect()).unwrap();
    let mut model = Decoder::random(config(), &device, precision, 0).unwrap();
    let ids: Vec<_> = model.params().iter().map(|(id, p)| (id, p.name().to_owned())).collect();
    for (id, name) in ids {
        let values: Vec<f32> = fixture.get(&name).1.iter().map(|&x| x as f32).collect();
        model.params_mut().values_mut(id).copy_from_slice(&values);
    }
    model
}

fn positions() -> Vec<i32> {
    (0..11).chain(0..19).collect()
}

#[test]
fn logits_agree() {
    let fixture = fixture();
    let (model, ids, positions) = (model(&fixture, Precision::F32), fixture.ints("ids"), positions());
    let mut tape = Tape::inference(model.params());
    let input = Input { ids: &ids, positions: &positions, documents: &[0..11, 11..30] };
    let hidden = model.hidden(&mut tape, input).value().clone();
    let found: Vec<f64> = model.logits(hidden).to_vec().iter().map(|&x| f64::from(x)).collect();
    assert_close("logits", &found, &fixture.get("logits").1, 2e-5, 2e-5);
}

#[test]
fn logits_over_a_cache_agree() {
    let fixture = fixture();
    let (model, ids) = (model(&fixture, Precision::F32), fixture.ints("ids"));
    let expected = fixture.get("logits").1;
    let mut cache = model.new_cache(32);
    for part in [11..20, 20..21, 21..30] {
        let hidden = model.continue_hidden(&ids[part.clone()], &mut cache);
        let found: Vec<f64> = model.logits(hidden).to_vec().iter().map(|&x| f64::from(x)).collect();
        assert_close("logits", &found, &expected[part.start * 40..part.end * 40], 2e-5, 2e-5);
    }
}

#[test]
fn gradients_agree() {
    let fixture = fixture();
    let (ids, positions) = (fixture.ints("ids"), positions());
    // Recomputed blocks give the same gradients as kept ones.
    for (precision, recompute) in [(Precision::F32, false), (Precision::F32, true), (Precision::Bf16, false)] {
        let mut model = model(&fixture, precision);
        model.set_recompute(recompute);
        let mut grads = Grads::zeros(model.params());
        let mut tape = Tape::training(model.params());
        let input = Input { ids: &ids, positions: &positions, documents: &[0..11, 11..30] };
        let hidden = model.hidden(&mut tape, input);
        let objective = CrossEntropy(fixture.ints("labels"));
        let (loss, _) = tape.linear_loss_backward(&hidden, model.head(), None, &objective, &mut grads);
        let f32_mode = precision == Precision::F32;
        let tolerance = if f32_mode { (1e-5, 1e-5) } else { (0.05, 0.02) };
        assert_close("loss", &loss, &fixture.get("loss").1, tolerance.0, tolerance.1);
        for (id, param) in model.params().iter() {
            let found: Vec<f64> = grads.to_vec(id, param.n_weights()).into_iter().map(f64::from).collect();
            let expected = fixture.get(&format!("grad.{}", param.name())).1;
            if f32_mode {
                assert_close(param.name(), &found, &expected, 1e-6, 1e-4);
            } else {
                let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
                let difference: Vec<f64> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
                let share = norm(&difference) / norm(&expected);
                assert!(share < 0.03, "{}: gradient off by {share:.3} of its norm in bf16", param.name());
            }
        }
    }
}
