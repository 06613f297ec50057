//! Classifiers of fastText's form: any bytes are read or refused, and what is read says something of any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_corpus::{Classifier, ClassifierMemory};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = Classifier::parse(bytes) {
        let found = model.probabilities("the road \u{4e2d}\u{6587} ab l1", &mut ClassifierMemory::default());
        assert_eq!(found.len(), model.labels().len());
    }
});
