//! Random models that must keep to a form do.

use serde_json::{Value, json};
use tutelage_generate::{Engine, Grammar, Request, Sampling, StopReason};
use tutelage_tensor::Weights;

use crate::support::{Text, config, generator, limits, prompt, write};

/// Texts of several seeds that keep to a grammar.
fn texts(grammar: &Grammar, max_tokens: usize, ignores_end: bool) -> Vec<Text> {
    let generator = generator(config(), 2, Weights::F32);
    let constraint = generator.constraint(grammar).unwrap();
    let request = |seed| Request {
        sampling: Sampling { temperature: 1.5, top_p: 1.0, seed, ..Sampling::default() },
        constraint: Some(constraint.clone()),
        n_samples: 2,
        ignores_end,
        ..Request::new(prompt(5, 1), max_tokens)
    };
    let requests: Vec<Request> = (0..8).map(request).collect();
    write(&mut Engine::new(generator, limits()), &requests).into_iter().flatten().collect()
}

#[test]
fn json_keeps_to_its_schema() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["name", "tags", "age"],
        "properties": {
            "name": { "type": "string", "maxLength": 8 },
            "tags": { "type": "array", "items": { "enum": ["a", "b"] }, "minItems": 1, "maxItems": 3 },
            "age": { "type": "integer", "minimum": 0, "maximum": 150 },
        },
    });
    for ignores_end in [false, true] {
        let texts = texts(&Grammar::JsonSchema(schema.clone()), 450, ignores_end);
        for Text { text, reason, .. } in &texts {
            assert_eq!(*reason, Some(StopReason::EndOfDocument), "{text}");
            let found: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert!(found["name"].as_str().unwrap().chars().count() <= 8, "{text}");
            let tags = found["tags"].as_array().unwrap();
            assert!((1..=3).contains(&tags.len()) && tags.iter().all(|tag| tag == "a" || tag == "b"), "{text}");
            assert!(found["age"].as_u64().unwrap() <= 150, "{text}");
        }
        let different = texts.iter().filter(|text| text.text != texts[0].text).count();
        assert!(different > 10, "seeds and samples draw within the form");
    }
}

#[test]
fn expressions_are_matched_as_a_whole() {
    for Text { text, reason, .. } in texts(&Grammar::Regex("(cat|dog): [0-9]{2,4}\\.".to_owned()), 100, false) {
        assert_eq!(reason, Some(StopReason::EndOfDocument));
        let (animal, number) = text.split_once(": ").unwrap();
        let digits = number.strip_suffix('.').unwrap();
        assert!(["cat", "dog"].contains(&animal) && (2..=4).contains(&digits.len()), "{text}");
        assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    }
    // Too few tokens leave a part, and say so.
    let cut = texts(&Grammar::json_object(), 1, false);
    assert!(cut.iter().all(|text| text.reason == Some(StopReason::MaxTokens) && text.text.starts_with('{')));
}

#[test]
fn grammars_that_cannot_be_are_refused() {
    let generator = generator(config(), 1, Weights::F32);
    for (grammar, said) in [
        (Grammar::Regex("(".to_owned()), "regular expression"),
        (Grammar::JsonSchema(json!({ "type": "what" })), "JSON schema"),
        (Grammar::JsonSchema(json!(5)), "JSON schema"),
        (Grammar::JsonSchema(json!({ "$ref": "https://example.org/schema" })), "JSON schema"),
        (Grammar::JsonSchema(json!({ "type": "string", "minLength": 4, "maxLength": 2 })), "JSON schema"),
    ] {
        let refused = generator.constraint(&grammar);
        let error = refused.map(|_| ()).expect_err(&format!("{grammar:?}"));
        assert!(error.is_request() && error.to_string().contains(said), "{grammar:?}: {error}");
    }
}
