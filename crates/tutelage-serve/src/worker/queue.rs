//! Who is next.

use std::collections::VecDeque;

/// Who asks: a key, or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientId(pub(crate) u64);

/// What waits, by client. Clients take turns, so that one who asks for much does not keep the others waiting.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    /// Those who wait for something, the next first.
    turns: VecDeque<(ClientId, VecDeque<T>)>,
    len: usize,
}

impl<T> FairQueue<T> {
    pub(super) fn new() -> Self {
        Self { turns: VecDeque::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn len_of(&self, client: ClientId) -> usize {
        self.turns.iter().find(|(of, _)| *of == client).map_or(0, |(_, own)| own.len())
    }

    pub(super) fn push(&mut self, client: ClientId, item: T) {
        self.len += 1;
        match self.turns.iter_mut().find(|(of, _)| *of == client) {
            Some((_, own)) => own.push_back(item),
            None => self.turns.push_back((client, VecDeque::from([item]))),
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let (client, mut own) = self.turns.pop_front()?;
        let item = own.pop_front()?;
        self.len -= 1;
        if !own.is_empty() {
            self.turns.push_back((client, own));
        }
        Some(item)
    }

    /// Removes what is not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.turns.iter_mut().for_each(|(_, own)| own.retain(&keep));
        self.turns.retain(|(_, own)| !own.is_empty());
        self.len = self.turns.iter().map(|(_, own)| own.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_take_turns() {
        let mut queue = FairQueue::new();
        (0..4).for_each(|i| queue.push(ClientId(1), 10 + i));
        (0..2).for_each(|i| queue.push(ClientId(2), 20 + i));
        assert_eq!((queue.len(), queue.len_of(ClientId(1)), queue.len_of(ClientId(3))), (6, 4, 0));
        assert_eq!([queue.pop(), queue.pop()], [Some(10), Some(20)]);
        queue.push(ClientId(3), 30);
        queue.retain(|item| *item != 12);
        assert_eq!(queue.len(), 4);
        let rest: Vec<i32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(rest, [11, 21, 30, 13]);
        assert_eq!((queue.len(), queue.pop()), (0, None));
    }
}
