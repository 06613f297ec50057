//! Names of divergences, as settings have them.

use std::fmt;
use std::str::FromStr;

use super::Divergence;

/// Every name, in words, and the setting that goes with it.
const NAMES: [(&str, &str, Option<&str>); 10] = [
    ("forward_kl", "KL", None),
    ("reverse_kl", "reverse KL", None),
    ("jsd", "JSD", Some("beta")),
    ("skew_kl", "skew KL", Some("skew")),
    ("skew_reverse_kl", "skew reverse KL", Some("skew")),
    ("total_variation", "total variation", None),
    ("nll", "NLL", None),
    ("mse", "MSE", None),
    ("logit_mse", "MSE of logits", None),
    ("sampled_reverse_kl", "reverse KL by the student's own tokens", None),
];

/// What `beta` and `skew` may be at most: at 1 a skewed divergence is zero.
const MOST_BETA: f64 = 1.0;
const MOST_SKEW: f64 = 0.99;

impl Divergence {
    /// The divergence of this name, with its setting if it has one: `beta` of `jsd`, from 0 to 1; `skew` of `skew_kl` and
    /// `skew_reverse_kl`, from 0 to 0.99.
    ///
    /// # Errors
    /// Says which name, setting or number is wrong.
    pub fn named(name: &str, settings: &[(&str, f64)]) -> Result<Self, String> {
        let Some(&(_, _, needed)) = NAMES.iter().find(|row| row.0 == name) else {
            let names: Vec<&str> = NAMES.iter().map(|row| row.0).collect();
            return Err(format!("there is no divergence '{name}'; one of {}", names.join(", ")));
        };
        if let Some((other, value)) = settings.iter().find(|(setting, _)| Some(*setting) != needed) {
            return Err(format!("{other} = {value} is no setting of {name}"));
        }
        let value = match (needed, settings.first()) {
            (Some(setting), None) => return Err(format!("{setting} must be given for {name}")),
            (_, value) => value.map_or(0.0, |setting| setting.1),
        };
        let most = if needed == Some("beta") { MOST_BETA } else { MOST_SKEW };
        if !(0.0..=most).contains(&value) {
            return Err(format!("{} = {value}: must be from 0 to {most}", needed.unwrap_or_default()));
        }
        let value = value as f32;
        Ok(match name {
            "forward_kl" => Self::ForwardKl,
            "reverse_kl" => Self::ReverseKl,
            "jsd" => Self::Jsd { beta: value },
            "skew_kl" => Self::SkewKl { skew: value },
            "skew_reverse_kl" => Self::SkewReverseKl { skew: value },
            "total_variation" => Self::TotalVariation,
            "nll" => Self::Nll,
            "mse" => Self::Mse,
            "logit_mse" => Self::LogitMse,
            _ => Self::SampledReverseKl,
        })
    }

    fn row(self) -> (usize, Option<f32>) {
        match self {
            Self::ForwardKl => (0, None),
            Self::ReverseKl => (1, None),
            Self::Jsd { beta } => (2, Some(beta)),
            Self::SkewKl { skew } => (3, Some(skew)),
            Self::SkewReverseKl { skew } => (4, Some(skew)),
            Self::TotalVariation => (5, None),
            Self::Nll => (6, None),
            Self::Mse => (7, None),
            Self::LogitMse => (8, None),
            Self::SampledReverseKl => (9, None),
        }
    }
}

/// In words, with its setting.
impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (row, value) = self.row();
        f.write_str(NAMES[row].1)?;
        value.map_or(Ok(()), |value| write!(f, " {value}"))
    }
}

/// A name, and after a colon its setting: `jsd:0.5`.
impl FromStr for Divergence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, value)) = text.split_once(':') else { return Self::named(text, &[]) };
        let value = value.parse().map_err(|_| format!("'{value}' of '{text}' is no number"))?;
        let setting = NAMES.iter().find(|row| row.0 == name).and_then(|row| row.2).unwrap_or("a number");
        Self::named(name, &[(setting, value)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (i, (name, words, setting)) in NAMES.into_iter().enumerate() {
            let settings: Vec<(&str, f64)> = setting.map(|setting| (setting, 0.25)).into_iter().collect();
            let divergence = Divergence::named(name, &settings).unwrap();
            assert_eq!(divergence.row().0, i);
            assert!(divergence.to_string().starts_with(words));
            let text = if setting.is_some() { format!("{name}:0.25") } else { name.to_owned() };
            assert_eq!(text.parse(), Ok(divergence));
        }
        for (text, message) in [
            ("kl", "one of forward_kl, reverse_kl"),
            ("jsd", "beta must be given"),
            ("jsd:2", "beta = 2: must be from 0 to 1"),
            ("jsd:much", "'much' of 'jsd:much' is no number"),
            ("skew_kl:1", "from 0 to 0.99"),
            ("nll:1", "a number = 1 is no setting of nll"),
        ] {
            let found = text.parse::<Divergence>().unwrap_err();
            assert!(found.contains(message), "{found}");
        }
    }
}
