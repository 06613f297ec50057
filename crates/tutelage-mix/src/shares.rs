//! How many tokens of which documents of each source a phase has.

use crate::MixError;
use crate::settings::{PhaseSettings, ShortSettings};

/// Which documents of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    All,
    /// Of fewer tokens than this.
    Below(u32),
    /// Of this many or more.
    From(u32),
}

impl Class {
    pub(crate) fn has(self, length: u32) -> bool {
        match self {
            Self::All => true,
            Self::Below(most) => length < most,
            Self::From(least) => length >= least,
        }
    }

    /// As random streams are named by it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Below(_) => "short",
            Self::From(_) => "long",
        }
    }
}

/// What is drawn of a source, until so many tokens are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Number of the source.
    pub(crate) source: usize,
    pub(crate) class: Class,
    pub(crate) tokens: u64,
}

/// A source, as far as it is used up.
#[derive(Debug)]
pub(crate) struct Stock<'s> {
    pub(crate) name: &'s str,
    pub(crate) lengths: &'s [u32],
    /// How often each document was drawn.
    pub(crate) used: Vec<u8>,
    pub(crate) max_epochs: Option<f64>,
}

impl<'s> Stock<'s> {
    pub(crate) fn new(name: &'s str, lengths: &'s [u32], max_epochs: Option<f64>) -> Self {
        Self { name, lengths, used: vec![0; lengths.len()], max_epochs }
    }

    /// Tokens of a class, and how many of them, seen again counted again, were drawn.
    fn tokens(&self, class: Class) -> (u64, u64) {
        let mine = self.lengths.iter().zip(&self.used).filter(|(length, _)| class.has(**length));
        mine.fold((0, 0), |(all, used), (&length, &times)| {
            (all + u64::from(length), used + u64::from(length) * u64::from(times))
        })
    }

    /// Tokens that may still be drawn.
    fn left(&self, class: Class) -> f64 {
        let (all, used) = self.tokens(class);
        (self.max_epochs.unwrap_or(1.0) * all as f64 - used as f64).max(0.0)
    }
}

/// The shares of a phase, in the order of the sources.
pub(crate) fn shares(phase: &PhaseSettings, stocks: &[Stock<'_>]) -> Result<Vec<Share>, MixError> {
    let fault = |found: String| MixError::request(format!("phase '{}': {found}", phase.name));
    let found = match phase.epochs.is_empty() {
        false => by_epochs(phase, stocks),
        true => by_weights(phase, stocks),
    };
    let shares = found.map_err(&fault)?;
    if shares.iter().all(|share| share.tokens == 0) {
        return Err(fault(
            "nothing of its sources is left to draw; raise their max_epochs, or add documents".to_owned(),
        ));
    }
    Ok(shares)
}

fn by_epochs(phase: &PhaseSettings, stocks: &[Stock<'_>]) -> Result<Vec<Share>, String> {
    let mut shares = Vec::new();
    for (source, stock) in stocks.iter().enumerate() {
        let Some(epochs) = phase.epochs.get(stock.name) else { continue };
        let (all, used) = stock.tokens(Class::All);
        let tokens = (epochs * all as f64).round() as u64;
        if let Some(most) = stock.max_epochs
            && (tokens + used) as f64 > most * all as f64 + 1.0
        {
            let name = stock.name;
            return Err(format!(
                "epochs.{name} = {epochs} goes beyond sources.{name}.max_epochs = {most}, of which {:.2} are used",
                used as f64 / all.max(1) as f64
            ));
        }
        shares.push(Share { source, class: Class::All, tokens });
    }
    Ok(shares)
}

fn by_weights(phase: &PhaseSettings, stocks: &[Stock<'_>]) -> Result<Vec<Share>, String> {
    let sum: f64 = phase.weights.values().sum();
    let weighted = stocks
        .iter()
        .enumerate()
        .filter_map(|(source, stock)| phase.weights.get(stock.name).map(|weight| (source, stock, weight / sum)));
    let weighted: Vec<(usize, &Stock<'_>, f64)> = weighted.collect();
    let total = match phase.tokens {
        Some(tokens) => tokens as f64,
        None => weighted.iter().map(|(_, stock, weight)| stock.left(Class::All) / weight).fold(f64::INFINITY, f64::min),
    };
    for (_, stock, weight) in &weighted {
        let (wanted, left, name) = (weight * total, stock.left(Class::All), stock.name);
        // A document may reach beyond the end, and rounding too.
        if wanted > left + 1.0 {
            let (all, used) = stock.tokens(Class::All);
            let most = stock.max_epochs.unwrap_or(1.0);
            let needed = (wanted + used as f64) / all.max(1) as f64;
            return Err(format!(
                "weights.{name} is {:.1} % of {total:.0} tokens, so {wanted:.0}, but {left:.0} of the {all} tokens of '{name}' are left at \
                 sources.{name}.max_epochs = {most}: lower its weight or tokens, add documents, or set max_epochs to {needed:.2} or more",
                100.0 * weight
            ));
        }
    }
    let Some(short) = phase.short else {
        let share = |&(source, _, weight): &(usize, &Stock<'_>, f64)| Share {
            source,
            class: Class::All,
            tokens: (weight * total).round() as u64,
        };
        return Ok(weighted.iter().map(share).collect());
    };
    let parts: Vec<Part> = weighted.iter().map(|(_, stock, weight)| Part::new(stock, short, weight * total)).collect();
    let short_tokens = split(&parts, short.share, short.share * total).map_err(|(what, least, most)| {
        format!(
            "short.share = {} of {total:.0} tokens cannot be had: with these weights, {least:.0} to {most:.0} tokens can be in documents below {} \
             ({what}); raise max_epochs of sources that have them, change the weights or the share",
            short.share, short.below
        )
    })?;
    Ok(weighted
        .iter()
        .zip(short_tokens.iter().zip(&parts))
        .flat_map(|(&(source, ..), (&tokens, part))| {
            let of = |class, tokens: f64| Share { source, class, tokens: tokens.round() as u64 };
            [of(Class::Below(short.below), tokens), of(Class::From(short.below), part.wanted - tokens)]
        })
        .filter(|share| share.tokens > 0)
        .collect())
}

/// What a source can give to a phase that asks for short documents.
#[derive(Debug)]
struct Part {
    wanted: f64,
    /// Least and most tokens in short documents.
    least: f64,
    most: f64,
}

impl Part {
    fn new(stock: &Stock<'_>, short: ShortSettings, wanted: f64) -> Self {
        let (below, from) = (stock.left(Class::Below(short.below)), stock.left(Class::From(short.below)));
        Self { wanted, least: (wanted - from).max(0.0), most: wanted.min(below) }
    }
}

/// Tokens in short documents, by source: their share of each, as far as each can, and the rest where there is room.
fn split(parts: &[Part], share: f64, all: f64) -> Result<Vec<f64>, (&'static str, f64, f64)> {
    let sum = |of: fn(&Part) -> f64| parts.iter().map(of).sum::<f64>();
    let (least, most) = (sum(|part| part.least), sum(|part| part.most));
    let mut tokens: Vec<f64> =
        parts.iter().map(|part| (share * part.wanted).clamp(part.least, part.most.max(part.least))).collect();
    let missing = all - tokens.iter().sum::<f64>();
    let room = |part: &Part, tokens: f64| if missing > 0.0 { part.most - tokens } else { tokens - part.least };
    let rooms: Vec<f64> = parts.iter().zip(&tokens).map(|(part, tokens)| room(part, *tokens).max(0.0)).collect();
    let whole: f64 = rooms.iter().sum();
    if missing.abs() > whole + 1.0 {
        let what = if missing > 0.0 { "there are too few short ones" } else { "there are too few long ones" };
        return Err((what, least, most));
    }
    if whole > 0.0 {
        tokens.iter_mut().zip(&rooms).for_each(|(tokens, room)| *tokens += missing * room / whole);
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn phase(tokens: Option<u64>, weights: &[(&str, f64)], short: Option<(u32, f64)>) -> PhaseSettings {
        PhaseSettings {
            name: "p".to_owned(),
            seq_len: 16,
            tokens,
            weights: weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect(),
            epochs: BTreeMap::new(),
            short: short.map(|(below, share)| ShortSettings { below, share }),
        }
    }

    fn tokens(phase: &PhaseSettings, stocks: &[Stock<'_>]) -> Result<Vec<(usize, &'static str, u64)>, String> {
        let found = shares(phase, stocks).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|share| (share.source, share.class.name(), share.tokens)).collect())
    }

    #[test]
    fn weights_are_shares_of_what_there_is() {
        let stocks = [Stock::new("a", &[100; 10], None), Stock::new("b", &[50; 10], Some(2.0))];
        // Weights are brought to a sum of 1: 300 and 100.
        assert_eq!(
            tokens(&phase(Some(400), &[("a", 3.0), ("b", 1.0)], None), &stocks).unwrap(),
            [(0, "all", 300), (1, "all", 100)]
        );
        // Both have 1,000: b with its second pass.
        assert_eq!(
            tokens(&phase(None, &[("a", 0.5), ("b", 0.5)], None), &stocks).unwrap(),
            [(0, "all", 1000), (1, "all", 1000)]
        );
        let error = tokens(&phase(Some(4000), &[("a", 0.5), ("b", 0.5)], None), &stocks).unwrap_err();
        assert!(
            error.contains("weights.a is 50.0 % of 4000 tokens, so 2000") && error.contains("max_epochs to 2.00"),
            "{error}"
        );
    }

    #[test]
    fn what_was_drawn_is_not_left() {
        let mut stocks = [Stock::new("a", &[100; 10], None)];
        stocks[0].used[..4].fill(1);
        assert_eq!(tokens(&phase(None, &[("a", 1.0)], None), &stocks).unwrap(), [(0, "all", 600)]);
        stocks[0].used.fill(1);
        assert!(
            tokens(&phase(None, &[("a", 1.0)], None), &stocks).unwrap_err().contains("nothing of its sources is left")
        );
        let again = PhaseSettings {
            weights: BTreeMap::new(),
            epochs: [("a".to_owned(), 1.5)].into(),
            ..phase(None, &[], None)
        };
        assert_eq!(tokens(&again, &stocks).unwrap(), [(0, "all", 1500)]);
        stocks[0].max_epochs = Some(2.0);
        assert!(tokens(&again, &stocks).unwrap_err().contains("goes beyond sources.a.max_epochs = 2"));
    }

    #[test]
    fn short_documents_come_from_where_they_are() {
        // a has short ones only, b long ones only, c both.
        let (a, b, c) = ([10; 100], [200; 20], [[10, 190]; 10].concat());
        let stocks = [Stock::new("a", &a, None), Stock::new("b", &b, None), Stock::new("c", &c, None)];
        let even = phase(Some(900), &[("a", 1.0), ("b", 1.0), ("c", 1.0)], Some((100, 0.5)));
        // 300 of a are short, 300 of b long; c has 100 tokens in short ones, and the share of 450 is 50 more than that.
        let error = tokens(&even, &stocks).unwrap_err();
        assert!(error.contains("300 to 400 tokens") && error.contains("too few short"), "{error}");
        let less = phase(Some(900), &[("a", 1.0), ("b", 1.0), ("c", 1.0)], Some((100, 0.4)));
        let expected = [(0, "short", 300), (1, "long", 300), (2, "short", 60), (2, "long", 240)];
        assert_eq!(tokens(&less, &stocks).unwrap(), expected);
        // Half of each where each has both.
        let both = [Stock::new("c", &c, None)];
        assert_eq!(
            tokens(&phase(Some(200), &[("c", 1.0)], Some((100, 0.5))), &both).unwrap(),
            [(0, "short", 100), (0, "long", 100)]
        );
    }
}
