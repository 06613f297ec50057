//! Which page belongs to whom, and which prompts begin alike.

use std::collections::{BTreeMap, HashMap};

use tutelage_run::{Hash, Hasher};
use tutelage_tensor::kernels::attention::PAGE;

/// Pages of a pool. A page may have several users; one that nobody uses is kept as long as there are others to give, if a
/// prompt may begin with it.
#[derive(Debug)]
pub(crate) struct PageTable {
    free: Vec<u32>,
    n_users: Vec<u32>,
    /// The prompt that ends with a page, of pages that are shared.
    prefix_of: Vec<Option<Hash>>,
    by_prefix: HashMap<Hash, u32>,
    /// Pages that nobody uses, by when they were given back.
    idle: BTreeMap<u64, u32>,
    idle_since: Vec<u64>,
    clock: u64,
    n_reserved: usize,
}

/// The name of each whole page of a prompt: what it holds depends on all tokens up to its end, and on the length that
/// decides the angles.
pub(crate) fn prefixes(prompt: &[u32], rotated_by: usize) -> Vec<Hash> {
    let mut before = Hasher::default().part(&rotated_by.to_le_bytes()).finish();
    let names = prompt.as_chunks::<PAGE>().0.iter().map(|page| {
        let mut hasher = Hasher::default();
        hasher.part(before.to_string().as_bytes());
        let bytes: Vec<u8> = page.iter().flat_map(|id| id.to_le_bytes()).collect();
        before = hasher.part(&bytes).finish();
        before.clone()
    });
    names.collect()
}

impl PageTable {
    pub(crate) fn new(n_pages: usize) -> Self {
        Self {
            free: (0..n_pages as u32).rev().collect(),
            n_users: vec![0; n_pages],
            prefix_of: vec![None; n_pages],
            by_prefix: HashMap::new(),
            idle: BTreeMap::new(),
            idle_since: vec![0; n_pages],
            clock: 0,
            n_reserved: 0,
        }
    }

    pub(crate) fn n_pages(&self) -> usize {
        self.n_users.len()
    }

    /// Sets pages aside for a sequence that may come to need so many; whether there are enough.
    pub(crate) fn reserve(&mut self, n: usize) -> bool {
        let fits = self.n_reserved + n <= self.n_pages();
        if fits {
            self.n_reserved += n;
        }
        fits
    }

    /// Gives back what was set aside.
    pub(crate) fn unreserve(&mut self, n: usize) {
        self.n_reserved -= n;
    }

    /// Pages that hold the beginning of a prompt already; the caller uses them from now on.
    pub(crate) fn shared(&mut self, prefixes: &[Hash]) -> Vec<u32> {
        let found: Vec<u32> = prefixes.iter().map_while(|prefix| self.by_prefix.get(prefix).copied()).collect();
        for &page in &found {
            self.n_users[page as usize] += 1;
            self.idle.remove(&self.idle_since[page as usize]);
        }
        found
    }

    /// A page to write to: a free one, or the one that was idle the longest. There is one for whoever reserved it.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let page = self.free.pop().or_else(|| {
            let (_, page) = self.idle.pop_first()?;
            if let Some(prefix) = self.prefix_of[page as usize].take() {
                self.by_prefix.remove(&prefix);
            }
            Some(page)
        })?;
        self.n_users[page as usize] = 1;
        Some(page)
    }

    /// A user more of a page that somebody uses.
    pub(crate) fn share(&mut self, page: u32) {
        self.n_users[page as usize] += 1;
    }

    /// Lets prompts share a page that holds what this name says.
    pub(crate) fn publish(&mut self, page: u32, prefix: &Hash) {
        if !self.by_prefix.contains_key(prefix) && self.prefix_of[page as usize].is_none() {
            self.by_prefix.insert(prefix.clone(), page);
            self.prefix_of[page as usize] = Some(prefix.clone());
        }
    }

    /// A user less.
    pub(crate) fn release(&mut self, page: u32) {
        let at = page as usize;
        self.n_users[at] -= 1;
        if self.n_users[at] > 0 {
            return;
        }
        if self.prefix_of[at].is_none() {
            return self.free.push(page);
        }
        self.clock += 1;
        self.idle_since[at] = self.clock;
        self.idle.insert(self.clock, page);
    }

    /// Pages that somebody uses.
    pub(crate) fn n_used(&self) -> usize {
        self.n_users.iter().filter(|&&n| n > 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_shared_kept_and_taken_again() {
        let mut table = PageTable::new(3);
        let prompt: Vec<u32> = (0..200).collect();
        let names = prefixes(&prompt, 0);
        assert_eq!(names.len(), 3);
        assert!(table.reserve(2) && !table.reserve(2) && table.reserve(1));
        let pages = [table.take().unwrap(), table.take().unwrap()];
        pages.iter().zip(&names).for_each(|(&page, name)| table.publish(page, name));
        assert_eq!(table.shared(&names), pages);
        let other: Vec<u32> = (0..64).chain(1..65).collect();
        assert_eq!(table.shared(&prefixes(&other, 0)), pages[..1]);
        // Three users of the first page, two of the second.
        for page in [pages[0], pages[0], pages[1], pages[0]] {
            table.release(page);
        }
        assert_eq!(table.n_used(), 1);
        table.release(pages[1]);
        assert_eq!((table.n_used(), table.shared(&names[..1])), (0, vec![pages[0]]));
        table.release(pages[0]);
        // The free one first, then the one that was idle the longest, whose prompt is forgotten.
        let taken: Vec<u32> = std::iter::from_fn(|| table.take()).collect();
        assert_eq!(taken[1..], [pages[1], pages[0]]);
        assert!(table.shared(&names).is_empty());
    }
}
