//! Training or held-out.

/// Where a document goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Trained on.
    Train,
    /// Never trained on.
    HeldOut,
}

impl Split {
    /// Decides by the hash of the text alone: copies of a document stay together, and a document keeps its
    /// side when others are added.
    pub fn of(text: &str, heldout_fraction: f64) -> Self {
        let hash = tutelage_run::hash_bytes(text.as_bytes()).to_string();
        // The first 13 hexadecimal digits are 52 bits, which an f64 holds exactly.
        let position = u64::from_str_radix(&hash[..13], 16).unwrap_or(0) as f64 / (1u64 << 52) as f64;
        if position < heldout_fraction { Split::HeldOut } else { Split::Train }
    }
}

#[cfg(test)]
mod tests {
    use super::Split;

    #[test]
    fn the_fraction_is_kept_and_sides_are_stable() {
        let texts: Vec<String> = (0..10_000).map(|i| format!("document {i}")).collect();
        let held = |fraction| texts.iter().filter(|t| Split::of(t, fraction) == Split::HeldOut).count();
        assert_eq!((held(0.0), held(1.0)), (0, 10_000));
        assert!((900..1100).contains(&held(0.1)), "{}", held(0.1));
        assert!(texts.iter().all(|t| Split::of(t, 0.1) == Split::Train || Split::of(t, 0.2) == Split::HeldOut));
    }
}
