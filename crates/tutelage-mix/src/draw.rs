//! Which documents a phase has, and in which order.
//!
//! Of each share documents are drawn without putting them back, those that were drawn least often first, until its tokens are
//! there: the last one is not cut, so a share is met to within a document. The shares' documents then take turns, so that every stretch
//! of the phase has the mixture of the whole.

use tutelage_run::RandomStream;

use crate::shares::{Share, Stock};

/// The documents of a phase.
#[derive(Debug)]
pub(crate) struct Draws {
    pools: Vec<Pool>,
}

#[derive(Debug)]
struct Pool {
    share: Share,
    documents: Vec<u32>,
    next: usize,
    drawn: u64,
}

/// One document of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Draw {
    pub(crate) source: usize,
    pub(crate) document: usize,
    pub(crate) share: Share,
}

impl Draws {
    /// Draws, and notes how often each document was drawn.
    pub(crate) fn new(phase: &str, shares: &[Share], stocks: &mut [Stock<'_>], seed: u64) -> Self {
        let pools = shares.iter().map(|share| {
            let stock = &mut stocks[share.source];
            let documents = draw(phase, share, stock, seed);
            Pool { share: *share, documents, next: 0, drawn: 0 }
        });
        Self { pools: pools.collect() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.pools.iter().map(|pool| pool.documents.len() as u64).sum()
    }

    /// The next document, of the share that is furthest behind; the lengths are those of its source.
    pub(crate) fn next(&mut self, stocks: &[Stock<'_>]) -> Option<Draw> {
        let behind = |pool: &Pool| pool.drawn as f64 / pool.share.tokens as f64;
        let waiting = self.pools.iter_mut().filter(|pool| pool.next < pool.documents.len());
        let pool = waiting.min_by(|a, b| behind(a).total_cmp(&behind(b)))?;
        let (source, document) = (pool.share.source, pool.documents[pool.next] as usize);
        pool.next += 1;
        pool.drawn += u64::from(stocks[source].lengths[document]);
        Some(Draw { source, document, share: pool.share })
    }
}

fn draw(phase: &str, share: &Share, stock: &mut Stock<'_>, seed: u64) -> Vec<u32> {
    let (mut drawn, mut tokens, mut pass) = (Vec::new(), 0, 0);
    let mine =
        (0u32..).zip(stock.lengths).filter(|(_, length)| share.class.has(**length)).map(|(document, _)| document);
    let mut order: Vec<u32> = mine.collect();
    while tokens < share.tokens && !order.is_empty() {
        let purpose = format!("mix {} {phase} {} pass {pass}", stock.name, share.class.name());
        RandomStream::new(seed, &purpose).shuffle(&mut order);
        order.sort_by_key(|&document| stock.used[document as usize]);
        for &document in &order {
            if tokens >= share.tokens {
                break;
            }
            tokens += u64::from(stock.lengths[document as usize]);
            let used = &mut stock.used[document as usize];
            *used = used.saturating_add(1);
            drawn.push(document);
        }
        // Each pass begins from one order, whatever the pass before has made of it.
        order.sort_unstable();
        pass += 1;
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::Class;

    fn share(source: usize, class: Class, tokens: u64) -> Share {
        Share { source, class, tokens }
    }

    fn all(draws: &mut Draws, stocks: &[Stock<'_>]) -> Vec<(usize, usize)> {
        std::iter::from_fn(|| draws.next(stocks).map(|draw| (draw.source, draw.document))).collect()
    }

    #[test]
    fn every_stretch_has_the_mixture() {
        let (a, b) = ([10; 900], [30; 100]);
        let mut stocks = [Stock::new("a", &a, None), Stock::new("b", &b, None)];
        let shares = [share(0, Class::All, 9000), share(1, Class::All, 3000)];
        let mut draws = Draws::new("p", &shares, &mut stocks, 1);
        assert_eq!(draws.len(), 1000);
        let order = all(&mut draws, &stocks);
        // Nine documents of a for each of b.
        for stretch in order.chunks(50) {
            assert_eq!(stretch.iter().filter(|(source, _)| *source == 1).count(), 5);
        }
        let mut documents: Vec<_> = order.clone();
        documents.sort_unstable();
        documents.dedup();
        assert_eq!(documents.len(), 1000);
        assert!(!order.is_sorted());
    }

    #[test]
    fn what_was_drawn_least_comes_first() {
        let lengths = [5u32, 5, 5, 5, 50, 50];
        let mut stocks = [Stock::new("a", &lengths, None)];
        let mut seen = Vec::new();
        for phase in ["one", "two"] {
            let mut draws = Draws::new(phase, &[share(0, Class::Below(10), 10)], &mut stocks, 3);
            seen.extend(all(&mut draws, &stocks));
        }
        seen.sort_unstable();
        assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (0, 3)]);
        // Six of four: each once more, two of them twice more. A share is met to within a document.
        let mut draws = Draws::new("three", &[share(0, Class::Below(10), 28)], &mut stocks, 3);
        assert_eq!(all(&mut draws, &stocks).len(), 6);
        assert_eq!(stocks[0].used.iter().map(|&n| u32::from(n)).sum::<u32>(), 10);
        assert!(stocks[0].used[..4].iter().all(|&n| (2..=3).contains(&n)) && stocks[0].used[4..] == [0, 0]);
    }

    #[test]
    fn the_seed_draws_and_the_phase_too() {
        let lengths = [1u32; 50];
        let order = |phase: &str, seed| {
            let mut stocks = [Stock::new("a", &lengths, None)];
            let mut draws = Draws::new(phase, &[share(0, Class::All, 50)], &mut stocks, seed);
            all(&mut draws, &stocks)
        };
        assert_eq!(order("p", 1), order("p", 1));
        assert_ne!(order("p", 1), order("p", 2));
        assert_ne!(order("p", 1), order("q", 1));
    }
}
